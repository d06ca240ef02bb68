"""Look features up by the key of their entity, for callers who send nothing else."""

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

REQUEST_TIMEOUT_S = 0.4  # seconds; a challenger is given half a second before its champion is asked
CONNECTIONS = 16
MAX_KEYS = 1_000
_KINDS: dict[str, ColumnType] = {"string": "string", "integer": "long"}


class OnlineFeatures:
    """The features of one view that are online, as the feature server tells them."""

    def __init__(self, uri: str, view: FeatureView) -> None:
        types = {column.name: column.dtype for column in view.columns}
        self.key = Key(view.entity, _KINDS[types[view.entity]])
        self._uri = uri
        self._view = view
        self._http: httpx.AsyncClient | None = None

    async def complete(self, rows: Rows, columns: dict[str, ColumnType]) -> Rows:
        """
        Return the rows with all columns: what the caller sent as it is, the others looked up.

        :raises Refused: if an entity is not online, a feature is missing that has to be there, or the feature
            server is away (503)
        """
        lacking = [name for name in columns if name not in rows.columns]
        if not lacking or rows.keys is None:
            return rows
        if rows.count > MAX_KEYS:
            raise BadRequest(
                f"There are {rows.count} rows to look up; at most {MAX_KEYS} are at once. Send fewer.", 413
            )
        found = await self._look_up(rows.keys, lacking)
        try:
            values = {name: check_column(name, found[name], columns[name]) for name in lacking}
        except BadRequest as error:
            raise BadRequest(
                f"{error} It was looked up by {self.key.name}: send a value of your own.", 422
            ) from error
        return Rows({name: (rows.columns | values)[name] for name in columns}, rows.count, rows.keys)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _look_up(self, keys: Sequence[Any], names: list[str]) -> dict[str, list[Any]]:
        question = {
            "features": [f"{self._view.name}:{name}" for name in names],
            "entities": {self.key.name: list(keys)},
        }
        answer = await self._ask(question)
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        for name in names:
            statuses = columns[name]["statuses"] if name in columns else ["NOT_FOUND"] * len(keys)
            if "NOT_FOUND" in statuses:
                absent = [key for key, status in zip(keys, statuses, strict=True) if status == "NOT_FOUND"]
                raise BadRequest(self._not_online(name, absent), 404)
        return {name: columns[name]["values"] for name in names}

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._post(question)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise BadRequest(
                f"{self._view.name} cannot be looked up by {self.key.name}: the feature server at "
                f"{self._uri} is away ({why}). Send all features, or try again.",
                503,
            ) from error

    async def _post(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._http is None:
            limits = httpx.Limits(max_connections=CONNECTIONS)
            self._http = httpx.AsyncClient(
                base_url=self._uri, limits=limits, timeout=REQUEST_TIMEOUT_S, trust_env=False
            )
        try:
            response = await self._http.post("/get-online-features", json=question)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # it was restarted since, and the connection is an old one
            response = await self._http.post("/get-online-features", json=question)
        return cast("dict[str, Any]", response.raise_for_status().json())

    def _not_online(self, name: str, keys: Sequence[Any]) -> str:
        shown = ", ".join(str(key)[:80] for key in keys[:3])
        online = self._view.online
        days = f"the newest {online.days} days" if online else "nothing"
        return (
            f"{name} of {self.key.name} {shown} is not online ({len(keys)} of the request's keys): "
            f"{self._view.name} has {days}. Send all features of such a row."
        )


def online_features_of(use_case: str) -> OnlineFeatures | None:
    """Return where a use case's features are looked up; None if its view is not online."""
    found = catalog()
    case = found.use_cases.get(use_case)
    view = found.feature_views[case.feature_view] if case else None
    return OnlineFeatures(settings().features_uri, view) if view and view.online else None
