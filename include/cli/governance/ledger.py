"""`airworthy ledger`: verify that no decision was removed or changed, and export them for an auditor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option, Typer

from include.cli.champion import connect_to_database
from include.cli.options import AsJson
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from include.governance.audit_file import AuditResult

INVALID = 1
SHOWN_HASH_LENGTH = 12

app = Typer(help="Verify and export the ledger of decisions.", no_args_is_help=True)

LedgerName = Annotated[str, Argument(metavar="MODEL", help="A use case, or a dataset with a quarantine.")]


@app.command("verify")
def verify_ledger(
    model: Annotated[str | None, Argument(metavar="MODEL", help="Default: every name in the ledger.")] = None,
    against: Annotated[
        Path | None, Option(metavar="FILE", help="An earlier export; its entries must still be there.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Find entries of the ledger that were changed or removed.

    The hashes of all entries are computed again and compared with the certificates of the versions in
    MLflow, the serving champions, and an earlier export.

    Exit code 1: an entry was changed or removed.

    [bold]Examples[/bold]
      airworthy ledger verify
      airworthy ledger verify flight_delay --against flight_delay-2026-05.json
    """
    from dataclasses import replace

    from include.governance import audit_file
    from include.settings import settings

    earlier = audit_file.read_audit_file(against) if against else None
    results = []
    # One view of the database: a promotion in between is no fault.
    engine = connect_to_database().execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        notes = audit_file.stack_notes(connection)
        for name in [model] if model else audit_file.ledger_names(connection):
            file = audit_file.export_audit_file(
                connection, name, mlflow_uri=settings().mlflow_uri, trusted=settings().trusted_keys
            )
            result = audit_file.verify_audit_file(file, settings().trusted_keys)
            export = earlier if earlier and earlier.use_case == name else None
            faults = (*result.faults, *audit_file.stack_faults(connection, name, export))
            results.append(replace(result, faults=faults, notes=(*result.notes, *notes)))
            notes = []
    _report(results, as_json=as_json)


@app.command("export")
def export_ledger(
    model: LedgerName,
    to: Annotated[Path, Option(metavar="FILE", help="The file to write; it must not exist.")],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Write the ledger and the certificates of a model into one file, which verifies without the stack.

    [bold]Example[/bold]
      airworthy ledger export flight_delay --to flight_delay.json
    """
    from include.errors import DataError
    from include.governance import audit_file
    from include.settings import settings

    with connect_to_database().connect() as connection:
        file = audit_file.export_audit_file(
            connection, model, mlflow_uri=settings().mlflow_uri, trusted=settings().trusted_keys
        )
    if not file.entries:
        raise DataError(f"The ledger has no entry about {model}. See `airworthy models list`.")
    try:
        with to.open("x") as stream:
            stream.write(file.model_dump_json(indent=1))
    except OSError as error:
        raise DataError(
            f"{to} cannot be written ({error.strerror}). Name a file that does not exist."
        ) from error
    _report([audit_file.verify_audit_file(file)], as_json=as_json)


@app.command("check")
def check_file(
    file: Annotated[Path, Argument(metavar="FILE", help="What `airworthy ledger export` wrote.")],
    trusted: Annotated[
        Path | None, Option(metavar="FOLDER", help="Public keys to trust instead of those in the file.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Verify an exported file; nothing else is needed, neither the stack nor a network.

    Without --trusted the keys of the file are used: compare their ids with those that you know.

    Exit code 1: an entry or a certificate was changed or removed.

    [bold]Example[/bold]
      airworthy ledger check flight_delay.json --trusted keys/
    """
    from include.governance import audit_file

    content = audit_file.read_audit_file(file)
    result = audit_file.verify_audit_file(content, trusted)
    if trusted is None and not as_json:
        print_text(f"keys of the file: {', '.join(sorted(content.keys)) or 'none'}")
    _report([result], as_json=as_json)


def _report(results: list[AuditResult], *, as_json: bool) -> None:
    """Print the results, and end with code 1 if there is a fault."""
    if as_json:
        print_json(results)
    else:
        for result in results:
            print_text(_describe_result(result))
    if any(result.faults for result in results):
        raise Exit(INVALID)


def _describe_result(result: AuditResult) -> str:
    status = "INVALID" if result.faults else "valid"
    newest = result.newest_hash[:SHOWN_HASH_LENGTH] or "none"
    line = f"{status}: {result.use_case}, {result.entries} entries, newest {newest}"
    if result.certificates:
        line += f", certificates of versions {', '.join(map(str, result.certificates))}"
    faults = [f"  fault: {fault}" for fault in result.faults]
    notes = [f"  note: {note}" for note in result.notes]
    return "\n".join([line, *faults, *notes])
