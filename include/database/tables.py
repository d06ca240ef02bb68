"""The tables of the `airworthy` database, as they are after all migrations."""

from __future__ import annotations

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    create_engine,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()
_now = func.clock_timestamp()

desired_state = Table(
    "desired_state",
    metadata,
    Column("use_case", Text, primary_key=True),
    Column("champion", Integer),
    Column("previous", Integer),
    Column("challenger", Integer),
    # Of 10,000 requests, how many the challenger answers.
    Column("weight", Integer, nullable=False, server_default="0"),
    Column("shadow_share", Double, nullable=False, server_default="0"),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    # The attempt that holds the epoch.
    Column("owner", Text),
    # No version is served or rolled out.
    Column("retired", Boolean, nullable=False, server_default="false"),
    # What callers get while the use case is switched off; null while it is on.
    Column("fallback", JSONB),
    # Why releases are frozen; null while they are not.
    Column("frozen", Text),
    # The rollout stays at its step until a person resumes it.
    Column("paused", Boolean, nullable=False, server_default="false"),
    # The generation of the step that a person declared passed.
    Column("skipped", BigInteger),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

live_state = Table(
    "live_state",
    metadata,
    Column("use_case", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("reported_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("use_case", Text, nullable=False, index=True),
    Column("event", Text, nullable=False),
    Column("version", Integer),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    # A step that is killed and repeated writes one entry.
    Column("dedup_key", Text, unique=True),
    # A trigger writes the hashes, which chain the entries of a use case.
    Column("previous_hash", Text, nullable=False, server_default=""),
    Column("hash", Text, nullable=False, server_default=""),
    UniqueConstraint("use_case", "previous_hash", name="ledger_one_successor"),
)

inference_log = Table(
    "inference_log",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("use_case", Text, nullable=False),
    # The caller's, which may repeat.
    Column("request_id", Text, nullable=False),
    # `id` of the access log; null for a request that did not come through the gateway.
    Column("gateway_id", Uuid, index=True),
    Column("trace_id", Text),
    Column("version", Integer, nullable=False),
    # "champion", "challenger", "shadow" or "replay".
    Column("role", Text, nullable=False),
    Column("entity_id", Text),
    Column("received_at", DateTime(timezone=True), nullable=False, index=True),
    Column("latency_ms", Double, nullable=False),
    Column("status", Integer, nullable=False),
    Column("inputs", JSONB),
    Column("predictions", JSONB),
    # What was decided for each row; null if the version packages no decision rule.
    Column("decision", JSONB),
    # Age of the oldest feature that was looked up, in seconds; null if none was.
    Column("feature_age_s", Double),
    Index("inference_log_request", "use_case", "request_id"),
)

# Resident memory of each model server that answers, once a minute.
server_memory = Table(
    "server_memory",
    metadata,
    Column("use_case", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("replica", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True, server_default=_now),
    Column("bytes", BigInteger, nullable=False),
)

# What callers of the gateway got: one row per request that HAProxy finished.
access_log = Table(
    "access_log",
    metadata,
    # The gateway's own identity of a request; callers may repeat a request id.
    Column("id", Uuid, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    # Of W3C `traceparent`.
    Column("trace_id", Text),
    # Empty for a request that HAProxy could not read.
    Column("use_case", Text, nullable=False),
    # "invocations" or "explanations".
    Column("endpoint", Text, nullable=False),
    # Name of the caller's token, and address of the client.
    Column("caller", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    # Pseudonym of the entity.
    Column("entity_hash", Text),
    # The route when the request arrived, and the version that its weights chose.
    Column("champion", Integer),
    Column("challenger", Integer),
    Column("assigned_version", Integer),
    # Whether the request could have been sent to a challenger.
    Column("eligible", Boolean, nullable=False),
    # Versions of the first and of the last attempt; null if no server was asked.
    Column("first_version", Integer),
    Column("version", Integer),
    Column("retries", Integer, nullable=False),
    # Whether another server was asked than the first.
    Column("redispatched", Boolean, nullable=False),
    # HAProxy's two letters; "--" is a normal end.
    Column("termination", Text, nullable=False),
    # -1 if the caller left before.
    Column("status", Integer, nullable=False),
    # From the last byte of the request to the first one of the response, with all attempts.
    Column("latency_ms", Double, nullable=False),
    # HAProxy's timers, in whole milliseconds.
    Column("queue_ms", Double),
    Column("connect_ms", Double),
    Column("response_ms", Double),
    Column("total_ms", Double),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Index("access_log_use_case_received_at", "use_case", "received_at"),
)

# Until when a log has everything that ended; whoever loads the log writes it.
log_watermark = Table(
    "log_watermark",
    metadata,
    Column("log", Text, primary_key=True),
    Column("complete_until", DateTime(timezone=True), nullable=False),
)

# Days of a log that the lake has; once all of a day's rows were deleted, with the moment.
log_export = Table(
    "log_export",
    metadata,
    Column("log", Text, primary_key=True),
    # Empty for the access log, which is exported as a whole.
    Column("use_case", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("exported_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("deleted_at", DateTime(timezone=True)),
)

# Requests of exported days by hour.
request_count = Table(
    "request_count",
    metadata,
    Column("log", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    # 0 if no version answered.
    Column("version", Integer, primary_key=True),
    # Endpoint in the access log, role in the inference log.
    Column("kind", Text, primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("latency_p50_ms", Double),
    Column("latency_p99_ms", Double),
)

gate_result = Table(
    "gate_result",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    # Dataset, feature view or use case.
    Column("subject", Text, nullable=False, index=True),
    # DAG run and try, or the name of another caller.
    Column("run", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("results", JSONB, nullable=False),
)

monitoring_result = Table(
    "monitoring_result",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("use_case", Text, nullable=False, index=True),
    Column("run", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("decision", Text, nullable=False),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("use_case", Text, primary_key=True),
    # Of the rows.
    Column("digest", Text, primary_key=True),
    Column("feature_version", BigInteger, primary_key=True),
    Column("label_version", BigInteger, primary_key=True),
    Column("feature_view", Text, nullable=False),
    Column("label_dataset", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    # Days between `first_day` and `last_day` whose labels were too few.
    Column("excluded_days", JSONB, nullable=False),
    # Table version of each further feature view.
    Column("joined_versions", JSONB, nullable=False, server_default=text("'{}'")),
    Column("rows", BigInteger, nullable=False),
    Column("completeness", Double),
    # The first DAG run that created the snapshot.
    Column("run", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
)

caller_token = Table(
    "caller_token",
    metadata,
    # SHA-256 of the token in hexadecimal digits; the token itself is stored nowhere.
    Column("digest", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    # Names of use cases, and `:all`, `:history`, `:metrics`.
    Column("scopes", JSONB, nullable=False),
    # Requests per second; 0 is no limit.
    Column("rate", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("created_by", Text, nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoked_by", Text),
)


def connect(url: str | URL) -> Engine:
    """Return an engine that replaces its connections after a restart of the database."""
    return create_engine(url, pool_pre_ping=True, pool_size=2, max_overflow=8, hide_parameters=True)
