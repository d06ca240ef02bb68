"""A simulated gateway: hours of requests in the access log, and the hourly check of what callers got."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from include.declarations import Slo
from include.monitoring import service_check
from include.release import rollout
from tests.bench.world import USE_CASE

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.monitoring.governor import Decision

HOUR = timedelta(hours=1)
REQUESTS_PER_HOUR = 120
# Three weeks, after which an hour without requests is unusual.
HISTORY = timedelta(days=22)
# Each fault begins so long after the one before.
BETWEEN = 6 * HOUR
CASE = USE_CASE.model_copy(update={"name": "served", "slo": Slo(feature_age_s=900, window_days=7)})
# Latencies are 30 to 70 ms and seldom more; of 10,000 requests, one fails.
_SERVE = text("""
INSERT INTO access_log (id, request_id, use_case, endpoint, caller, client, received_at, champion,
  assigned_version, eligible, first_version, version, retries, redispatched, termination, status, latency_ms,
  bytes_in, bytes_out)
SELECT gen_random_uuid(), 'r', :use_case, 'invocations', 'caller ' || number % 3, '127.0.0.1',
  at + number * interval '1 hour' / :requests, 1, 1, true, 1, 1, 0, false, '--',
  CASE WHEN random() < :failures THEN 503 ELSE 200 END,
  :slowdown * (30 + 40 * random() + CASE WHEN random() < 0.005 THEN 100 ELSE 0 END), 300, 200
FROM generate_series(CAST(:start AS timestamptz), CAST(:finish AS timestamptz) - interval '1 hour', '1 hour')
  AS at
CROSS JOIN generate_series(0, :requests - 1) AS number
""")
_LOOK_UP = text("""
INSERT INTO inference_log (use_case, request_id, version, role, received_at, latency_ms, status,
  feature_age_s)
SELECT :use_case, 'r', 1, 'champion', CAST(:start AS timestamptz) + number * interval '25 seconds', 5, 200,
  :age + 60 * random()
FROM generate_series(0, 119) AS number
""")
# Of 220 to 240 MB, and what has leaked.
_MEASURE_MEMORY = text("""
INSERT INTO server_memory (use_case, version, replica, at, bytes)
SELECT :use_case, 1, 1, at, 220e6 + 20e6 * random() + :leaked
  + :leak * extract(epoch FROM at - CAST(:start AS timestamptz)) / 60
FROM generate_series(CAST(:start AS timestamptz), CAST(:finish AS timestamptz) - interval '1 minute',
  '1 minute') AS at
""")
_SEND_GARBAGE = text("""
UPDATE access_log SET status = 422, version = 1 WHERE use_case = :use_case AND received_at >= :start
  AND received_at < :finish AND caller = 'caller 1'
""")


@dataclass(frozen=True, slots=True)
class ServiceFault:
    """
    A fault, and what is promised within `hours`; it lasts an hour more.

    `leak` is the memory in bytes that a model server needs more in each minute.
    """

    title: str
    name: str
    action: str
    why: str
    requests: int = REQUESTS_PER_HOUR
    slowdown: float = 1.0
    feature_age_s: float = 60.0
    garbage: bool = False
    leak: float = 0.0
    hours: int = 1


SERVICE_FAULTS = (
    ServiceFault(
        "latency doubles (within what is promised)", "half of the responses took", "alert",
        "nothing is broken yet; a person finds the cause before callers complain", slowdown=2.0,
    ),
    ServiceFault(
        "one caller sends garbage", "requests of caller 1 could not be read", "alert",
        "the caller is told; other callers' service level, drift and releases are untouched", garbage=True,
    ),
    ServiceFault(
        "gateway down for an hour", "no request from", "alert",
        "no version is to blame: nothing is rolled back; a person starts the gateway", requests=0,
    ),
    ServiceFault(
        "feature server stale", "the oldest features", "alert",
        "the materialisation is to be mended; another model would get the same old features",
        feature_age_s=7_200.0,
    ),
    ServiceFault(
        "memory leaks (2 MB a minute)", "the memory of version 1 grows", "alert",
        "callers notice nothing yet; a person restarts the server, or rolls back, before it is ended",
        leak=2e6, hours=4,
    ),
)  # fmt: skip


class ServiceWorld:
    """The first champion of a use case, promoted now, and requests in the weeks from now on."""

    def __init__(self, database: Engine, seed: int = 0, *, history: timedelta = HISTORY) -> None:
        self.database = database
        self._leaked = 0.0
        with database.begin() as connection:
            connection.execute(text("SELECT setseed(:seed)"), {"seed": seed / 100})
        lease = rollout.begin(database, CASE.name, 1, owner="bench", actor="bench")
        rollout.promote(database, lease, reason="the first", evidence={}, needs_traffic=False)
        self.now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
        self.serve(ServiceFault("", "", "", ""), history)

    def serve(self, fault: ServiceFault, length: timedelta = HOUR) -> None:
        """Let callers send requests for some hours, from now on."""
        end = self.now + length
        times = {"use_case": CASE.name, "start": self.now, "finish": end}
        with self.database.begin() as connection:
            figures = {"failures": 0.0001, "slowdown": fault.slowdown, "requests": max(fault.requests, 1)}
            if fault.requests:
                connection.execute(_SERVE, times | figures)
            if fault.garbage:
                connection.execute(_SEND_GARBAGE, times)
            if length <= BETWEEN:
                connection.execute(_MEASURE_MEMORY, times | {"leak": fault.leak, "leaked": self._leaked})
                self._leaked += fault.leak * (length / timedelta(minutes=1))
            if length == HOUR:
                connection.execute(
                    _LOOK_UP, {"use_case": CASE.name, "start": self.now, "age": fault.feature_age_s}
                )
        self.now = end

    def check(self) -> Decision:
        """Measure the last hour, decide and record, as the task `check` does."""
        with self.database.connect() as connection:
            check = service_check.measure(connection, CASE, end=self.now)
        if check is None:
            raise RuntimeError("There is no champion.")
        decision = service_check.decide_service(check)
        run = f"service_levels/{self.now:%Y-%m-%dT%H}"
        return service_check.record(self.database, CASE.name, check, decision, run=run, actor="bench")

    def live_through(self, fault: ServiceFault) -> tuple[int | None, int | None, str]:
        """Return the hours until the fault was found and until the decision, and its name."""
        self.serve(ServiceFault("", "", "", ""), BETWEEN)
        self.serve(ServiceFault("", "", "", ""))
        if self.check().action != "nothing":
            return None, None, "an alarm before the fault"
        for hour in range(1, fault.hours + 2):
            self.serve(fault)
            decision = self.check()
            if fault.name in decision.reason and decision.action == fault.action:
                return hour, hour, decision.reason
        return None, None, decision.reason
