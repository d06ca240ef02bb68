"""Reach the lake and the landing folder that an Airflow connection names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from include.errors import SettingsError

if TYPE_CHECKING:
    from pandas import DataFrame

    from include.data.lake.delta_tables import Lake
    from include.data.sources.files import Landing
    from include.storage.staging import Staging


class LakeHook(BaseHook):
    """Turns a connection (`lake_uri`, `landing_uri`, `storage_options` in its extra) into the two stores."""

    conn_name_attr = "lake_conn_id"
    default_conn_name = "lake_default"

    def __init__(self, lake_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.lake_conn_id = lake_conn_id

    @cached_property
    def extra(self) -> dict[str, Any]:
        """The connection's extra."""
        extra = self.get_connection(self.lake_conn_id).extra_dejson
        if "lake_uri" not in extra:
            raise SettingsError(f"Connection {self.lake_conn_id}: its extra has no `lake_uri`.")
        return dict(extra)

    @property
    def uri(self) -> str:
        """The lake's URI, without a slash at its end."""
        return str(self.extra["lake_uri"]).rstrip("/")

    @property
    def storage_options(self) -> dict[str, str]:
        """The object store's options; empty for a local path."""
        return dict(self.extra.get("storage_options") or {})

    @cached_property
    def lake(self) -> Lake:
        """The Delta tables."""
        from include.data.lake.delta_tables import Lake

        return Lake(self.uri, self.storage_options, connection=self.lake_conn_id)

    def lake_of(self, table: str) -> tuple[Lake, str]:
        """Return where a table is, and its name there: in the lake, or at the address that it is."""
        from include.data.lake.delta_tables import Lake

        folder, slash, name = table.rstrip("/").rpartition("/")
        if not slash:
            return self.lake, table
        return Lake(folder, self.storage_options, connection=self.lake_conn_id), name

    def read_parquet(self, path: str) -> DataFrame:
        """Return the frame in a Parquet file at an address, on a path, or below the lake."""
        from include.storage.staging import Staging

        if "://" not in path and not path.startswith("/"):
            return self.staging.read(path)
        folder, _, name = path.rpartition("/")
        return Staging(folder, self.storage_options, self.lake_conn_id).read(name)

    @cached_property
    def landing(self) -> Landing:
        """The folder in which files land."""
        from include.data.sources.files import Landing

        return Landing(str(self.extra["landing_uri"]).rstrip("/"), self.storage_options, self.lake_conn_id)

    @cached_property
    def staging(self) -> Staging:
        """The frames on their way between tasks."""
        from include.storage.staging import Staging

        return Staging(self.uri, self.storage_options, self.lake_conn_id)
