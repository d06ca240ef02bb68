"""Monitoring of a model: drift, retraining, service levels, annotation, alerts, and when its DAGs run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from zlib import crc32
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from include.declarations.base import Declaration, Duration, Share, TimeZone, require_unique

LATENCIES_PER_DEADLINE = 8
MIN_DEADLINE_S = 2.0
MAX_DEADLINE_S = 60.0
N_CRON_FIELDS = 5
# A person fills in the labels; a larger file is none of a person.
MAX_QUEUE_ROWS = 10_000
# Of the minute: one that follows from the name of the use case.
STAGGERED = "H"
TRAINING_CRON = "H 2 * * *"
MONITORING_CRON = "H 6 * * *"
DEFAULT_CRONS = frozenset({TRAINING_CRON, MONITORING_CRON})


def _require_cron(expression: str) -> str:
    if expression in DEFAULT_CRONS:
        return expression
    # Airflow has it loaded; an image that serves a model needs only the defaults.
    from croniter import croniter

    minute, _, rest = expression.partition(" ")
    exact = f"0 {rest}" if minute == STAGGERED else expression
    if len(exact.split()) != N_CRON_FIELDS or not croniter.is_valid(exact):
        raise ValueError(f"{expression!r} is no cron expression: write '30 2 * * *', or 'H 2 * * *'")
    return expression


Cron = Annotated[str, AfterValidator(_require_cron)]

# A monitoring has ended this long after its scheduled time, with retries.
MONITORING_TIME = timedelta(hours=2)


class Schedules(Declaration):
    """
    When the training and the monitoring of a use case run: cron expressions in `time_zone`.

    A minute `H` follows from the name of the use case, so that many do not start at once. None is no
    schedule: people and other DAGs start the runs. People are told about a run of training, monitoring or
    scoring that has not ended `maximum_run` after it was created.
    """

    training: Cron | None = TRAINING_CRON
    monitoring: Cron | None = MONITORING_CRON
    time_zone: TimeZone = "UTC"
    maximum_run: Duration = timedelta(hours=12)

    def cron(self, stage: str, name: str) -> str | None:
        """Return the expression of `training` or `monitoring`, with the minute of the use case `name`."""
        expression: str | None = getattr(self, stage)
        if expression is None or not expression.startswith(f"{STAGGERED} "):
            return expression
        return f"{crc32(name.encode()) % 60}{expression.removeprefix(STAGGERED)}"

    def last_monitoring(self, name: str, moment: datetime) -> datetime | None:
        """Return when the monitoring should have run last, 2 h before `moment` or earlier; None if never."""
        from croniter import croniter

        cron = self.cron("monitoring", name)
        if cron is None:
            return None
        local = (moment - MONITORING_TIME).astimezone(ZoneInfo(self.time_zone))
        due: datetime = croniter(cron, local).get_prev(datetime)
        return due


class DriftPolicy(Declaration):
    """
    When the inputs count as drifted: the drifted features have `minimum_importance` of the importance.

    All requests of the last `window_days` days are compared with the training data; fewer than `minimum_rows`
    give no result. A feature drifts if it shifted by more than an effect that matters, and at most the share
    `false_discovery_rate` of the shifts that are found is expected to be chance. The inputs also count as
    drifted if at least the share `columns_share` (0 to 1) of the features drifts, whatever their importance.
    The plots of the report show at most `maximum_rows` rows of each side.
    """

    minimum_importance: Share = 0.1
    columns_share: Share = 0.5
    false_discovery_rate: Share = 0.01
    window_days: int = Field(default=7, ge=1)
    maximum_rows: int = Field(default=5_000, ge=100, le=100_000)
    minimum_rows: int = Field(default=200, ge=1)

    @field_validator("columns_share")
    @classmethod
    def _can_be_met(cls, share: float) -> float:
        if not share:
            raise ValueError("0: inputs without drift would count as drifted; declare more than 0")
        return share


class RetrainPolicy(Declaration):
    """
    When signals cause a retraining: in `k` of the last `n` checks, and at least `cooldown` after the last
    one.

    At most `budget_per_month` retrainings start in 30 days, and none for fewer than `minimum_new_labels`
    labelled rows since the champion's snapshot.
    """

    k: int = Field(default=2, ge=1)
    n: int = Field(default=3, ge=1)
    cooldown: Duration = timedelta(days=1)
    budget_per_month: int = Field(default=8, ge=0)
    minimum_new_labels: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k={self.k} of n={self.n} checks can never be reached; k must be at most n")
        return self


class Slo(Declaration):
    """
    Service level objective over `window_days` days: share of answered requests, and p99 latency in ms.

    With fewer than `minimum_requests` requests a window is inconclusive. Of the features that the gateway
    looks up, the 99th percentile of the age is at most `feature_age_s` seconds, if that is declared.

    A request that is not answered within `deadline_s` is given up: 8 times the latency, from 2 to 60 s.

    Of the labels that are due, the share `label_coverage` has landed, and on the share `quality_days` of the
    days the use case's metric is not worse than `quality`, if these are declared.

    The latency is promised at up to `rate` requests per second, which a new version must sustain for some
    seconds before it gets traffic.
    """

    availability: Share = 0.999
    latency_p99_ms: float = Field(default=250.0, gt=0)
    window_days: int = Field(default=28, ge=1)
    minimum_requests: int = Field(default=100, ge=1)
    feature_age_s: float | None = Field(default=None, gt=0)
    rate: float = Field(default=20.0, gt=0, le=1_000)
    label_coverage: Share | None = None
    quality: float | None = None
    quality_days: Share = 0.9

    @field_validator("availability", "label_coverage", "quality_days")
    @classmethod
    def _can_be_broken(cls, share: float | None) -> float | None:
        if share == 0:
            raise ValueError("0: it is met if nothing is good, so it can never fire; promise a share")
        return share

    @property
    def deadline_s(self) -> float:
        """Time in seconds after which callers do not wait any longer."""
        deadline_s = LATENCIES_PER_DEADLINE * self.latency_p99_ms / 1000
        return min(max(deadline_s, MIN_DEADLINE_S), MAX_DEADLINE_S)


AnnotationRule = Literal["uncertain", "drifted", "disagreement"]


class AnnotationQueue(Declaration):
    """
    Rows of production that are worth a label by a person: at most `rows`, from each of `rules` alternately.

    `uncertain` are rows whose prediction is the least confident, `drifted` those whose values became most
    frequent since the training, and `disagreement` those that a challenger answers most differently.
    """

    rows: int = Field(default=200, ge=1, le=MAX_QUEUE_ROWS)
    rules: tuple[AnnotationRule, ...] = Field(default=("uncertain", "drifted", "disagreement"), min_length=1)

    @field_validator("rules")
    @classmethod
    def _are_different(cls, rules: tuple[AnnotationRule, ...]) -> tuple[AnnotationRule, ...]:
        require_unique(rules, "rules")
        return rules


class SlackChannel(Declaration):
    """
    A channel of Slack, by an incoming webhook.

    The Airflow connection `connection`, of type `http`, has the host `https://hooks.slack.com/services` and
    the rest of the webhook's address as its password.
    """

    kind: Literal["slack"] = "slack"
    connection: str = Field(default="slack_alerts", min_length=1)


class EmailChannel(Declaration):
    """E-mail to the addresses `to`, by the Airflow connection `connection` of type `smtp`."""

    kind: Literal["email"] = "email"
    to: tuple[str, ...] = Field(min_length=1)
    connection: str = Field(default="smtp_default", min_length=1)


class WebhookChannel(Declaration):
    """
    Any receiver of JSON, such as a pager, by the Airflow connection `connection` of type `http`.

    It gets `use_case`, `status` (`open` or `resolved`), `title`, `text` and the lists `began` and `ended`.
    `endpoint` is the path at the host.
    """

    kind: Literal["webhook"] = "webhook"
    connection: str = Field(min_length=1)
    endpoint: str = ""


AnyChannel = Annotated[SlackChannel | EmailChannel | WebhookChannel, Field(discriminator="kind")]


class MaintenanceWindow(Declaration):
    """Time from `start` to before `end`, with time zones, in which nobody is told that an incident began."""

    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _is_a_time(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"the maintenance from {self.start} to {self.end} is empty")
        return self


class Alerts(Declaration):
    """Channels that are told when an incident begins and when it is over, and times of maintenance."""

    channels: tuple[AnyChannel, ...] = ()
    maintenance: tuple[MaintenanceWindow, ...] = ()

    def is_silent(self, moment: datetime) -> bool:
        """Return whether the moment is in a time of maintenance."""
        return any(window.start <= moment < window.end for window in self.maintenance)
