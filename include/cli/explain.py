"""`airworthy explain`: what each feature contributed to one prediction."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option, Typer

from include.cli.options import MODELS, AsJson, Model, parse_day
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations.specification import Specification
    from include.inference.model import ServedModel
    from include.inference.shapley import Attribution, ClassAttributions

    Attributions = list[Attribution] | list[ClassAttributions]

app = Typer()


@app.command(rich_help_panel=MODELS)
def explain(
    model: Model,
    request: Annotated[str | None, Option(metavar="ID", help="The X-Request-Id of an answer.")] = None,
    entity: Annotated[
        str | None, Option(metavar="KEY", help="A key of the feature view, such as a flight's id.")
    ] = None,
    day: Annotated[
        date | None,
        Option(parser=parse_day, metavar="DAY", help="The entity's day; default: its newest row."),
    ] = None,
    version: Annotated[
        int | None, Option(help="Default: the version that answered the request, or the champion.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show what each feature contributed to a prediction, as Shapley values.

    Name either a request that was answered, or an entity whose row is read from the feature view.

    [bold]Examples[/bold]
      airworthy explain flight_delay --request 7f0c2f9e
      airworthy explain flight_delay --entity 2013-01-05-UA-1545-EWR --day 2013-01-05
    """
    if (request is None) == (entity is None):
        raise BadParameter("Give either --request or --entity.")
    if request is not None:
        version, attributions = explain_request(model, request)
    else:
        version, attributions = explain_entity(model, entity or "", day, version)
    if as_json:
        print_json({"use_case": model, "version": version, "rows": attributions})
        return
    for attribution in attributions:
        _print_attribution(f"{model} version {version}", attribution)


def _print_attribution(title: str, attribution: Attribution | ClassAttributions) -> None:
    from include.inference.shapley import ClassAttributions

    if isinstance(attribution, ClassAttributions):
        for label, of_class in attribution.classes.items():
            _print_attribution(f"{title}, {label}", of_class)
        return
    print_text(f"{title}: {attribution.prediction:.6g}, usually {attribution.base:.6g}")
    ordered = sorted(attribution.contributions.items(), key=lambda pair: -abs(pair[1]))
    print_table("", ("feature", "contribution"), [(name, f"{value:+.6f}") for name, value in ordered])


def explain_request(use_case: str, request_id: str) -> tuple[int, Attributions]:
    """
    Return the version that answered a request, and the attribution of each of its rows.

    Raises
    ------
    DataError
        If no such request was answered.
    """
    from include.database.tables import connect
    from include.serving.model_server.logged_requests import (
        parse_records,
        read_request,
        require_logged_features,
    )
    from include.serving.model_server.logged_values import logged_values_of
    from include.settings import settings

    with connect(settings().database_url).connect() as connection:
        version, records = read_request(connection, use_case, request_id)

    def parse(model: ServedModel, specification: Specification) -> pd.DataFrame:
        logged = logged_values_of(specification.selection)
        hidden = (logged.pseudonyms | logged.dropped) & set(specification.features)
        require_logged_features(use_case, hidden)
        return parse_records(model, records)

    return version, _attribute(use_case, version, parse)


def explain_entity(
    use_case: str, entity: str, day: date | None, version: int | None
) -> tuple[int, Attributions]:
    """
    Return a version, by default the champion, and the attribution of an entity's row.

    Raises
    ------
    ReleaseError
        If the use case has no champion, and no version is given.
    DataError
        If the feature view has no row of the entity.
    """
    from include.data.lake.delta_tables import Lake
    from include.database.tables import connect
    from include.errors import ReleaseError
    from include.release import rollout
    from include.settings import settings

    if version is None:
        with connect(settings().database_url).connect() as connection:
            version = rollout.read_state(connection, use_case).champion
    if version is None:
        raise ReleaseError(f"{use_case} has no champion yet: name a version.")
    lake = Lake(settings().lake_uri)
    return version, _attribute(
        use_case, version, lambda _, specification: read_entity(lake, specification, entity, day)
    )


def read_entity(lake: Lake, specification: Specification, entity: str, day: date | None) -> pd.DataFrame:
    """
    Return the newest row of an entity among those that a version predicts, or that of a day.

    Of a key of several columns, `entity` holds the values with commas between them.

    Raises
    ------
    DataError
        If there is none.
    """
    from include.data.feature_store.feature_rows import read_feature_rows
    from include.data.lake.partition_columns import DAY
    from include.errors import DataError

    selection = specification.selection
    spine = selection.spine
    keys = list(spine.keys)
    days = lake.days(spine.table) if day is None else [day]
    rows = lake.read(spine.table, days, columns=[*keys, spine.time, DAY])
    newest = rows[rows[keys].astype(str).agg(",".join, axis=1) == entity].sort_values(spine.time).tail(1)
    if newest.empty:
        when = "" if day is None else f" on {day}"
        raise DataError(f"{spine.table} has no row of {','.join(keys)} {entity}{when}.")
    newest_day = [date.fromisoformat(newest[DAY].iloc[0])]
    of_day = read_feature_rows(selection, lake, newest_day, names=specification.features)
    return of_day.merge(newest[[*keys, spine.time]], on=[*keys, spine.time])


def _attribute(
    use_case: str, version: int, read_rows: Callable[[ServedModel, Specification], pd.DataFrame]
) -> Attributions:
    from include.catalog import catalog
    from include.inference.shapley import attribute, background
    from include.modeling.registry.load_version import load_version
    from include.modeling.registry.registry import Registry
    from include.settings import settings
    from include.specifications import certified_specification

    with TemporaryDirectory(prefix="airworthy-") as temporary:
        folder = Path(temporary) / "model"
        registry = Registry(settings().mlflow_uri)
        loaded = load_version(registry, use_case, version, folder=folder, trusted=settings().trusted_keys)
        specification = certified_specification(
            loaded.certificate.snapshot, catalog().use_cases[use_case], loaded.model.features
        )
        rows = read_rows(loaded.model, specification)
        return attribute(loaded.model, background(folder, loaded.model), rows)
