"""Operator that tells people about incidents, by Airflow's notifiers."""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowException

from airworthy import run_context
from airworthy.failures import is_over
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.links import page_url
from include.catalog import catalog
from include.errors import AttentionNeeded
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from airflow.sdk import Context
    from airflow.sdk.bases.notifier import BaseNotifier

    from include.declarations.monitoring import AnyChannel, EmailChannel, SlackChannel, WebhookChannel
    from include.monitoring.alerting.failures import RunFailure
    from include.monitoring.alerting.incidents import Incident, News

SEND_TIMEOUT_S = 10


def describe_title(news: News) -> str:
    """Return one line: the use case, and what began or is over."""
    titles = ", ".join(incident.title for incident in news.began or news.ended)
    return f"[{'open' if news.began else 'resolved'}] {news.name}: {titles}"


def describe_news(news: News) -> str:
    """Return a text of some lines: each incident with its figures, runbook and log, and the model's page."""
    lines = [describe_title(news)]
    for incident in news.began:
        version = f" (version {incident.version})" if incident.version is not None else ""
        lines.append(f"{incident.title}{version}: {incident.reason}")
        lines.append(f"  what to do: {page_url(f'docs/{incident.runbook}')}")
        if incident.link:
            lines.append(f"  log: {incident.link}")
    lines += [f"over: {incident.title}: {incident.reason}" for incident in news.ended]
    if news.name in catalog().use_cases:
        lines.append(f"model: {page_url(f'models/{news.name}')}")
    return "\n".join(lines)


def _slack_notifier(channel: SlackChannel, news: News) -> BaseNotifier:
    from airflow.providers.http.notifications.http import HttpNotifier

    # The end of the webhook's address is its secret, which Airflow masks as a password.
    token = BaseHook.get_connection(channel.connection).password or ""
    return HttpNotifier(
        http_conn_id=channel.connection,
        endpoint=token,
        json={"text": describe_news(news)},
        extra_options={"timeout": SEND_TIMEOUT_S},
    )


def _email_notifier(channel: EmailChannel, news: News) -> BaseNotifier:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        to=list(channel.to),
        subject=describe_title(news),
        html_content=f"<pre>{html.escape(describe_news(news))}</pre>",
        smtp_conn_id=channel.connection,
    )


def _webhook_notifier(channel: WebhookChannel, news: News) -> BaseNotifier:
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(
        http_conn_id=channel.connection,
        endpoint=channel.endpoint or None,
        json={
            "use_case": news.name,
            "status": "open" if news.began else "resolved",
            "title": describe_title(news),
            "text": describe_news(news),
            "began": [_as_json(incident) for incident in news.began],
            "ended": [_as_json(incident) for incident in news.ended],
        },
        extra_options={"timeout": SEND_TIMEOUT_S},
    )


def _as_json(incident: Incident) -> dict[str, Any]:
    runbook = page_url(f"docs/{incident.runbook}")
    fields = asdict(incident)
    del fields["page"]
    return fields | {"runbook": runbook}


NOTIFIERS: dict[str, Callable[[Any, News], BaseNotifier]] = {
    "slack": _slack_notifier,
    "email": _email_notifier,
    "webhook": _webhook_notifier,
}


def channel_key(channel: AnyChannel) -> str:
    """Return the identity of a channel in the ledger."""
    target = {"email": ",".join(getattr(channel, "to", ())), "webhook": getattr(channel, "endpoint", "")}
    return ":".join(filter(None, (channel.kind, channel.connection, target.get(channel.kind, ""))))


class SendAlertsOperator(BaseOperator):
    """
    Tell people about incidents that began or are over, once each; the XCom has them by use case.

    What a channel took is in the ledger, so that a repeated run tells nothing twice, and a channel that
    failed is tried again by the next run, alone. One message has all news of a use case. What belongs to no
    use case with channels goes to those of the setting `alert_channels`.

    Example::

        SendAlertsOperator(task_id="send")

    :param airworthy_conn_id: connection of the Airworthy database
    """

    def __init__(self, *, airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name, **kwargs: Any):
        super().__init__(**kwargs)
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, list[str]]:
        """
        Return the titles of the incidents that were told, by use case.

        :raises AttentionNeeded: if a channel did not take a message, after all others got theirs
        """
        from include.monitoring.alerting.failures import recent_failures
        from include.release.rollout_status import database_time

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        now = database_time(engine)
        with engine.connect() as connection:
            failures = recent_failures(connection, now)
        failures = [failure for failure in failures if not is_over(failure, context["ti"])]
        notified: dict[str, list[str]] = {}
        problems: list[str] = []
        names = {*catalog().use_cases, *self._notified_names(engine)}
        names |= {failure.name for failure in failures}
        # Datasets, feature views and the platform have entries if something of theirs failed once.
        for name in sorted(names):
            own = [failure for failure in failures if failure.name == name]
            titles, failed = self._notify(engine, name, own, now, context)
            problems += failed
            if titles:
                notified[name] = titles
        if problems:
            raise AttentionNeeded(f"Not told: {'; '.join(problems)}. Check the Airflow connections.")
        return notified

    def _notified_names(self, engine: Engine) -> set[str]:
        """Return the names that people were told something about."""
        from sqlalchemy import select

        from include.database.tables import ledger

        with engine.connect() as connection:
            query = select(ledger.c.use_case).where(ledger.c.event == "alerted").distinct()
            return set(connection.scalars(query))

    def _notify(
        self, engine: Engine, name: str, failures: Sequence[RunFailure], now: datetime, context: Context
    ) -> tuple[list[str], list[str]]:
        """Send the news about one name to each of its channels; return what was told, and what failed."""
        from include.monitoring.alerting.incidents import record_notified

        taken: dict[str, News] = {}
        problems: list[str] = []
        for channel, news in self._read_news(engine, name, failures, now):
            problem = self._send(channel, news, context)
            if problem:
                problems.append(problem)
            else:
                taken[channel_key(channel)] = news
        with engine.begin() as connection:
            record_notified(connection, taken, actor=run_context.actor(context))
        titles: list[str] = []
        for news in taken.values():
            titles += [incident.title for incident in (*news.began, *news.ended)]
        return list(dict.fromkeys(titles)), problems

    def _read_news(
        self, engine: Engine, name: str, failures: Sequence[RunFailure], now: datetime
    ) -> list[tuple[AnyChannel, News]]:
        """Return the channels of a name that have to be told something, and what."""
        from include.monitoring.alerting import incidents

        use_case = catalog().use_cases.get(name)
        channels = (use_case.alerts.channels if use_case else ()) or settings().alert_channels
        if not channels:
            return []
        silent = False
        with engine.connect() as connection:
            notifications = incidents.read_notifications(connection, name)
            if use_case is None:
                current = incidents.failure_incidents(failures)
            else:
                current, silent = incidents.find_incidents(connection, use_case, now, failures)
        news = []
        for channel in channels:
            existing = incidents.open_by_channel(notifications, channel_key(channel))
            news.append((channel, incidents.news_of(name, current, existing, silent=silent)))
        return [(channel, entry) for channel, entry in news if entry]

    def _send(self, channel: AnyChannel, news: News, context: Context) -> str:
        """Send the news to a channel; return why it failed, or an empty text."""
        try:
            # Not called, since Airflow would render the text as a template.
            NOTIFIERS[channel.kind](channel, news).notify(context)
        except (AirflowException, OSError, ValueError) as error:
            problem = f"{channel.kind} {channel.connection} about {news.name}: {error}"
            self.log.warning("%s", problem)
            return problem
        return ""
