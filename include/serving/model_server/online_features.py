"""Online features: looked up by the keys of entities for callers that send no features."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import httpx

from include.feature_values import nullable_kind
from include.inference.requests.request_keys import Keys
from include.inference.scoring_protocol import BadRequest, Rows, check_column
from include.serving.model_server.trace_headers import current_headers
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.declarations import FeatureView
    from include.declarations.relations.feature_selection import FeatureSelection
    from include.feature_values import ColumnType

# The gateway sends a challenger's request to the champion after 0.5 s.
REQUEST_TIMEOUT_S = 0.4
MAX_CONNECTIONS = 16
MAX_KEYS = 1_000
MICROSECONDS = 1_000_000
_KEY_TYPES: dict[str, ColumnType] = {"string": "string", "integer": "long"}


@dataclass(frozen=True, slots=True)
class LookUp:
    """
    Looked-up values of one view, by their names in the use case.

    `oldest` is when the oldest of the sources that they come from was known, in microseconds since 1970; None
    if there is no value.
    """

    values: dict[str, list[Any]]
    oldest: int | None


class OnlineFeatures:
    """
    The online features of a use case, read from the feature server.

    Parameters
    ----------
    uri
        Address of the feature server.
    selection
        Features of the use case, their views and their entities.
    """

    def __init__(self, uri: str, selection: FeatureSelection) -> None:
        kinds = {name: _KEY_TYPES[dtype] for name, dtype in selection.entity_types.items()}
        time: dict[str, ColumnType] = {selection.spine.time: "datetime"}
        self._views = selection.looked_up()
        self.keys = Keys(kinds | time, {name: view.keys for name, view in self._views.items()})
        self._uri = uri
        self.selection = selection
        self._http: httpx.AsyncClient | None = None

    async def complete(self, rows: Rows, columns: dict[str, ColumnType]) -> Rows:
        """
        Return the rows with all columns: those that the caller sent unchanged, the others looked up.

        A key without a row in a further view has nulls, as in training.

        Raises
        ------
        BadRequest
            If there are more than `MAX_KEYS` rows (413), an entity of the rows' own view is not online (404),
            a value is missing or of the wrong type (422), or the feature server cannot be reached (503).
        """
        absent = [name for name in columns if name not in rows.columns]
        if not absent:
            return rows
        if rows.count > MAX_KEYS:
            raise BadRequest(
                f"There are {rows.count} rows to look up; at most {MAX_KEYS} are accepted at once. "
                "Send fewer.",
                413,
            )
        by_view: dict[str, list[str]] = {}
        for name in absent:
            by_view.setdefault(self._views[name].name, []).append(name)
        views = [view for view in self.selection.views if view.name in by_view]
        results = await asyncio.gather(
            *(self._look_up(view, rows.keys, by_view[view.name]) for view in views)
        )
        all_columns = dict(rows.columns)
        for view, result in zip(views, results, strict=True):
            all_columns |= self._check_types(view, result.values, columns)
        known_times = [result.oldest for result in results if result.oldest is not None]
        # The clock may have been set back.
        age_s = max(time.time() - min(known_times) / MICROSECONDS, 0.0) if known_times else None
        return Rows({name: all_columns[name] for name in columns}, rows.count, rows.keys, age_s)

    def entity_of(self, rows: Rows | None) -> str | None:
        """Return the entity of a request of one row, with commas between several keys; None if unknown."""
        names = self.selection.spine.label_keys
        if rows is None or rows.count != 1 or any(name not in rows.keys for name in names):
            return None
        return ",".join(str(rows.keys[name][0]) for name in names)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _look_up(
        self, view: FeatureView, keys: Mapping[str, Sequence[Any]], names: list[str]
    ) -> LookUp:
        """Return the values of features of one view."""
        columns = {name: self.selection.origins[name].column for name in names}
        known_at = _known_at_columns(view, columns.values())
        requested = dict.fromkeys((*columns.values(), *known_at))
        query = {
            "features": [f"{view.name}:{column}" for column in requested],
            "entities": {f"{view.name}.{key}": list(keys[key]) for key in view.keys},
        }
        content = await self._query(view, query)
        results = dict(zip(content["metadata"]["feature_names"], content["results"], strict=True))
        n_rows = len(next(iter(keys.values())))
        nothing = {"statuses": ["NOT_FOUND"] * n_rows, "values": [None] * n_rows}
        values = {}
        for name, column in columns.items():
            result = results.get(column, nothing)
            if view.name == self.selection.spine.table and "NOT_FOUND" in result["statuses"]:
                raise BadRequest(_describe_absent(view, name, keys, result["statuses"]), 404)
            values[name] = result["values"]
        known_times: list[int] = []
        for column in known_at:
            known_times += [value for value in results.get(column, nothing)["values"] if value is not None]
        return LookUp(values, min(known_times, default=None))

    def _check_types(
        self, view: FeatureView, values: Mapping[str, Sequence[Any]], columns: Mapping[str, ColumnType]
    ) -> dict[str, list[Any]]:
        """Return the values; a null of a nullable column is missing, as in the training rows."""
        for name, looked_up in values.items():
            kind = columns[name]
            if self.selection.columns[name].nullable:
                # Former packages do not name their nullable features.
                kind = nullable_kind(kind)
            try:
                check_column(name, looked_up, kind)
            except BadRequest as error:
                raise BadRequest(
                    f"{error} It was looked up by {', '.join(view.keys)}: send a value of your own.", 422
                ) from error
        return {name: list(looked_up) for name, looked_up in values.items()}

    async def _query(self, view: FeatureView, query: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._post(query)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise BadRequest(
                f"{view.name} cannot be looked up by {', '.join(view.keys)}: the feature server at "
                f"{self._uri} is away ({reason}). Send all features, or try again.",
                503,
            ) from error

    async def _post(self, query: dict[str, Any]) -> dict[str, Any]:
        if self._http is None:
            limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
            self._http = httpx.AsyncClient(
                base_url=self._uri, limits=limits, timeout=REQUEST_TIMEOUT_S, trust_env=False
            )
        headers = current_headers()
        try:
            response = await self._http.post("/get-online-features", json=query, headers=headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # The feature server was restarted after this connection was opened.
            response = await self._http.post("/get-online-features", json=query, headers=headers)
        return cast("dict[str, Any]", response.raise_for_status().json())


def _known_at_columns(view: FeatureView, columns: Iterable[str]) -> list[str]:
    """Return the columns that say when the sources of some columns were known."""
    names: dict[str, None] = {}
    for column in columns:
        names |= dict.fromkeys(source.known_at for source in view.sources_of(column))
    return list(names)


def _describe_absent(
    view: FeatureView, name: str, keys: Mapping[str, Sequence[Any]], statuses: Sequence[str]
) -> str:
    rows = list(zip(*(keys[key] for key in view.keys), strict=True))
    absent = [row for row, status in zip(rows, statuses, strict=True) if status == "NOT_FOUND"]
    listed = ", ".join(map(_describe_key, absent[:3]))
    days = f"the newest {view.online.days} days" if view.online else "nothing"
    return (
        f"{name} of {', '.join(view.keys)} {listed} is not online ({len(absent)} of the request's keys): "
        f"{view.name} has {days}. Send all features of such a row."
    )


def _describe_key(key: Sequence[Any]) -> str:
    return " ".join(str(value)[:80] for value in key)


def online_features_of(selection: FeatureSelection | None) -> OnlineFeatures | None:
    """Return the online features of a version; None if its features are not known."""
    return OnlineFeatures(settings().features_uri, selection) if selection else None
