"""Online features: looked up by the key of an entity for callers that send no features."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httpx

from include.catalog import catalog
from include.inference.scoring_protocol import BadRequest, Key, Rows, check_column
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import FeatureView
    from include.inference.model import ColumnType

# The gateway sends a challenger's request to the champion after 0.5 s.
REQUEST_TIMEOUT_S = 0.4
MAX_CONNECTIONS = 16
MAX_KEYS = 1_000
_KEY_TYPES: dict[str, ColumnType] = {"string": "string", "integer": "long"}


class OnlineFeatures:
    """The online features of one view, read from the feature server."""

    def __init__(self, uri: str, view: FeatureView) -> None:
        types = {column.name: column.dtype for column in view.columns}
        self.key = Key(view.entity, _KEY_TYPES[types[view.entity]])
        self._uri = uri
        self._view = view
        self._http: httpx.AsyncClient | None = None

    async def complete(self, rows: Rows, columns: dict[str, ColumnType]) -> Rows:
        """
        Return the rows with all columns: those that the caller sent unchanged, the others looked up.

        Raises
        ------
        BadRequest
            If there are more than `MAX_KEYS` rows (413), an entity is not online (404), a value is missing
            or of the wrong type (422), or the feature server cannot be reached (503).
        """
        absent = [name for name in columns if name not in rows.columns]
        if not absent or rows.keys is None:
            return rows
        if rows.count > MAX_KEYS:
            raise BadRequest(
                f"There are {rows.count} rows to look up; at most {MAX_KEYS} are accepted at once. "
                "Send fewer.",
                413,
            )
        online = await self._look_up(rows.keys, absent)
        try:
            values = {name: check_column(name, online[name], columns[name]) for name in absent}
        except BadRequest as error:
            raise BadRequest(
                f"{error} It was looked up by {self.key.name}: send a value of your own.", 422
            ) from error
        all_columns = rows.columns | values
        return Rows({name: all_columns[name] for name in columns}, rows.count, rows.keys)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _look_up(self, keys: Sequence[Any], names: list[str]) -> dict[str, list[Any]]:
        query = {
            "features": [f"{self._view.name}:{name}" for name in names],
            "entities": {f"{self._view.name}.{self.key.name}": list(keys)},
        }
        content = await self._query(query)
        columns = dict(zip(content["metadata"]["feature_names"], content["results"], strict=True))
        for name in names:
            statuses = columns[name]["statuses"] if name in columns else ["NOT_FOUND"] * len(keys)
            if "NOT_FOUND" in statuses:
                absent = [key for key, status in zip(keys, statuses, strict=True) if status == "NOT_FOUND"]
                raise BadRequest(self._describe_absent(name, absent), 404)
        return {name: columns[name]["values"] for name in names}

    async def _query(self, query: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._post(query)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise BadRequest(
                f"{self._view.name} cannot be looked up by {self.key.name}: the feature server at "
                f"{self._uri} is away ({reason}). Send all features, or try again.",
                503,
            ) from error

    async def _post(self, query: dict[str, Any]) -> dict[str, Any]:
        if self._http is None:
            limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
            self._http = httpx.AsyncClient(
                base_url=self._uri, limits=limits, timeout=REQUEST_TIMEOUT_S, trust_env=False
            )
        try:
            response = await self._http.post("/get-online-features", json=query)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # The feature server was restarted after this connection was opened.
            response = await self._http.post("/get-online-features", json=query)
        return cast("dict[str, Any]", response.raise_for_status().json())

    def _describe_absent(self, name: str, keys: Sequence[Any]) -> str:
        listed = ", ".join(str(key)[:80] for key in keys[:3])
        online = self._view.online
        days = f"the newest {online.days} days" if online else "nothing"
        return (
            f"{name} of {self.key.name} {listed} is not online ({len(keys)} of the request's keys): "
            f"{self._view.name} has {days}. Send all features of such a row."
        )


def online_features_of(use_case: str) -> OnlineFeatures | None:
    """Return the online features of a use case; None if it is not declared or its view is not online."""
    declared = catalog()
    declaration = declared.use_cases.get(use_case)
    if declaration is None:
        return None
    view = declared.feature_views[declaration.feature_view]
    return OnlineFeatures(settings().features_uri, view) if view.online else None
