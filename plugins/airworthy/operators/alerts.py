"""Operator that tells people about incidents, by Airflow's notifiers."""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowException

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.links import page_url
from include.catalog import catalog
from include.errors import AttentionNeeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context
    from airflow.sdk.bases.notifier import BaseNotifier

    from include.declarations import UseCase
    from include.declarations.monitoring import EmailChannel, SlackChannel, WebhookChannel
    from include.monitoring.incidents import Incident, News

SEND_TIMEOUT_S = 10


def describe_title(news: News) -> str:
    """Return one line: the use case, and what began or is over."""
    kinds = ", ".join(incident.kind for incident in news.began or news.ended)
    return f"[{'open' if news.began else 'resolved'}] {news.use_case}: {kinds}"


def describe_news(news: News) -> str:
    """Return a text of some lines: each incident with its figures and runbook, and the page of the model."""
    lines = [describe_title(news)]
    for incident in news.began:
        version = f" (version {incident.version})" if incident.version is not None else ""
        lines.append(f"{incident.kind}{version}: {incident.reason}")
        lines.append(f"  what to do: {page_url(f'docs/{incident.runbook}')}")
    lines += [f"over: {incident.kind}: {incident.reason}" for incident in news.ended]
    lines.append(f"model: {page_url(f'models/{news.use_case}')}")
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
            "use_case": news.use_case,
            "status": "open" if news.began else "resolved",
            "title": describe_title(news),
            "text": describe_news(news),
            "began": [_as_json(incident) for incident in news.began],
            "ended": [_as_json(incident) for incident in news.ended],
        },
        extra_options={"timeout": SEND_TIMEOUT_S},
    )


def _as_json(incident: Incident) -> dict[str, Any]:
    return asdict(incident) | {"runbook": page_url(f"docs/{incident.runbook}")}


NOTIFIERS: dict[str, Callable[[Any, News], BaseNotifier]] = {
    "slack": _slack_notifier,
    "email": _email_notifier,
    "webhook": _webhook_notifier,
}


class SendAlertsOperator(BaseOperator):
    """
    Tell people about incidents that began or are over, once each; the XCom has them by use case.

    What was told is in the ledger, so that a repeated run tells nothing twice. One message has all news of a
    use case.

    Example::

        SendAlertsOperator(task_id="send")

    :param airworthy_conn_id: connection of the Airworthy database
    """

    def __init__(self, *, airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name, **kwargs: Any):
        super().__init__(**kwargs)
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, list[str]]:
        """
        Return the kinds of the incidents that were told, by use case.

        :raises AttentionNeeded: if a channel did not take a message, after all others got theirs
        """
        from include.monitoring import incidents
        from include.release.rollout_status import database_time

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        now = database_time(engine)
        notified: dict[str, list[str]] = {}
        problems: list[str] = []
        for use_case in catalog().use_cases.values():
            if not use_case.alerts.channels:
                continue
            with engine.connect() as connection:
                news = incidents.read_news(connection, use_case, now)
            if not news:
                continue
            failed = self._send(use_case, news, context)
            problems += failed
            if len(failed) == len(use_case.alerts.channels):
                continue
            with engine.begin() as connection:
                incidents.record_notified(connection, news, actor=run_context.actor(context))
            notified[use_case.name] = [incident.kind for incident in (*news.began, *news.ended)]
        if problems:
            raise AttentionNeeded(f"Not told: {'; '.join(problems)}. Check the Airflow connections.")
        return notified

    def _send(self, use_case: UseCase, news: News, context: Context) -> list[str]:
        """Send the news to each channel; return what failed."""
        problems = []
        for channel in use_case.alerts.channels:
            try:
                # Not called, since Airflow would render the text as a template.
                NOTIFIERS[channel.kind](channel, news).notify(context)
            except (AirflowException, OSError, ValueError) as error:
                problems.append(f"{channel.kind} {channel.connection} about {use_case.name}: {error}")
                self.log.warning("%s", problems[-1])
        return problems
