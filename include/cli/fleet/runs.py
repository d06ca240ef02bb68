"""`airworthy backfill`, `train`, `rollback` and `approve`: runs of a model in Airflow, with all gates."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from typer import BadParameter, Exit, Option, Typer

from include.cli.options import MODELS, AnyModel, AsJson, Model, parse_day
from include.cli.output import print_json, print_text

RUN_TIMEOUT_S = 300.0
TRAINING_TIMEOUT_S = 3_600.0
NOTHING_WAITS = 1

app = Typer()


class Stage(StrEnum):
    """DAGs of a model that have a run for each day."""

    TRAINING = "training"
    SCORING = "scoring"
    MONITORING = "monitoring"


@app.command(rich_help_panel=MODELS)
def backfill(
    model: Model,
    first: Annotated[date, Option(parser=parse_day, metavar="DAY", help="The first day.")],
    last: Annotated[date, Option(parser=parse_day, metavar="DAY", help="The last day.")],
    stage: Annotated[Stage, Option(help="Which DAG of the model.")] = Stage.SCORING,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Create a backfill in Airflow: a run of a DAG of the model for each day. Backfills never promote or act.

    [bold]Examples[/bold]
      airworthy backfill flight_delay --first 2013-07-01 --last 2013-07-07
      airworthy backfill flight_delay --stage training --first 2013-06-01 --last 2013-06-30
    """
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    if last < first:
        raise BadParameter(f"--last {last} is before --first {first}.")
    dag_id = f"{model}_{stage.value}"
    backfill_id = AirflowApi(settings()).backfill(dag_id, first, last)
    days = (last - first).days + 1
    if as_json:
        print_json({"dag": dag_id, "backfill": backfill_id, "first": first, "last": last, "days": days})
    else:
        print_text(f"Backfill {backfill_id} of {dag_id}: {days} days from {first} to {last}.")


@app.command(rich_help_panel=MODELS)
def train(
    model: Model,
    as_of: Annotated[
        date | None, Option(parser=parse_day, metavar="DAY", help="Use only data from before this day.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Train a candidate now, wait for it, and show what each gate measured; its deployment follows by itself.

    [bold]Example[/bold]
      airworthy train flight_delay
    """
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi
    from include.stack.verdicts import describe_verdict

    api = AirflowApi(settings())
    dag_id = f"{model}_training"
    run_id = api.trigger(dag_id, {"as_of": str(as_of)} if as_of else {})
    api.wait(dag_id, run_id, TRAINING_TIMEOUT_S)
    verdicts = api.xcom(dag_id, run_id, "gate", "verdicts") or []
    version = api.xcom(dag_id, run_id, "register")
    if as_json:
        print_json({"dag": dag_id, "run": run_id, "version": version, "gates": verdicts})
    else:
        for verdict in verdicts:
            print_text(describe_verdict(verdict))
    # Raises what the failed task says.
    api.require_success(dag_id, run_id, TRAINING_TIMEOUT_S)
    if not as_json:
        result = f"version {version} is registered" if version else "no version is registered"
        print_text(f"{model}: {result}: {api.link(dag_id, run_id)}")


@app.command(rich_help_panel=MODELS)
def rollback(
    model: Model,
    reason: Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Make the previous champion the champion again, by a run of the DAG `<model>_rollback`, and wait for it.

    [bold]Example[/bold]
      airworthy rollback flight_delay --reason "worse on holidays"
    """
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    api = AirflowApi(settings())
    dag_id = f"{model}_rollback"
    run_id = api.trigger(dag_id, {"reason": reason})
    api.require_success(dag_id, run_id, RUN_TIMEOUT_S)
    if as_json:
        print_json({"dag": dag_id, "run": run_id})
    else:
        print_text(f"{model} is rolled back: {api.link(dag_id, run_id)}")


@app.command(rich_help_panel=MODELS)
def approve(
    model: AnyModel,
    *,
    reject: Annotated[bool, Option("--reject", help="Reject instead; it needs --reason.")] = False,
    reason: Annotated[str, Option(metavar="TEXT", help="Why, for the ledger.")] = "",
    show: Annotated[bool, Option("--show", help="Only show what waits for an answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Answer the questions of a model that wait for a person, as the administrator of the stack.

    Who requested a release may not approve it, and only declared approvers may: such an answer is recorded as
    a rejection. Exit code 1: nothing waits.

    [bold]Examples[/bold]
      airworthy approve flight_delay --show
      airworthy approve flight_delay
      airworthy approve flight_delay --reject --reason "worse for night flights"
    """
    from include.settings import settings
    from include.stack.airflow_api import AirflowApi

    if reject and not reason.strip():
        raise BadParameter("--reject needs --reason: who requested the release wants to know why.")
    api = AirflowApi(settings())
    position = -1 if reject else 0
    answered = []
    for question in api.questions(model):
        # The first option of each question goes on, the last one does not.
        answer = "" if show else str(question["options"][position])
        if answer:
            api.answer(question, answer, reason)
        answered.append(_question_record(question, answer))
    if as_json:
        print_json(answered)
    else:
        lines = [f"{entry['subject']} {entry['answer'] or entry['body']}" for entry in answered]
        print_text("\n".join(lines) or f"{model}: nothing waits")
    if not answered:
        raise Exit(NOTHING_WAITS)


def _question_record(question: dict[str, Any], answer: str) -> dict[str, Any]:
    task = question["task_instance"]
    shown = {name: task[name] for name in ("dag_id", "dag_run_id", "task_id")}
    return {**shown, "subject": question["subject"], "body": question["body"], "answer": answer}
