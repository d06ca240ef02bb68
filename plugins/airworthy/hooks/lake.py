"""Hook for the lake and the landing folder of an Airflow connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from include.errors import SettingsError

if TYPE_CHECKING:
    from pandas import DataFrame

    from airflow.sdk import Connection

    from include.data.lake.delta_tables import Lake
    from include.data.sources.files import Landing
    from include.storage.staging import Staging


def lake_of(connection: Connection | Any) -> Lake:
    """Return the Delta tables of an Airflow connection, without opening them."""
    from include.data.lake.delta_tables import Lake

    extra = connection.extra_dejson
    options = dict(extra.get("storage_options") or {})
    return Lake(str(extra["lake_uri"]).rstrip("/"), options, connection=connection.conn_id)


class LakeHook(BaseHook):
    """Opens lake and landing folder; the extra has `lake_uri`, `landing_uri` and `storage_options`."""

    conn_name_attr = "lake_conn_id"
    default_conn_name = "lake_default"

    def __init__(self, lake_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.lake_conn_id = lake_conn_id

    @cached_property
    def extra(self) -> dict[str, Any]:
        """Extra of the connection."""
        extra = self.get_connection(self.lake_conn_id).extra_dejson
        if "lake_uri" not in extra:
            raise SettingsError(
                f"Connection {self.lake_conn_id}: its extra has no `lake_uri`. Add the address of the lake."
            )
        return dict(extra)

    @property
    def uri(self) -> str:
        """Address of the lake, without a slash at its end."""
        return str(self.extra["lake_uri"]).rstrip("/")

    @property
    def storage_options(self) -> dict[str, str]:
        """Options of the object store; empty for a local path."""
        return dict(self.extra.get("storage_options") or {})

    @cached_property
    def lake(self) -> Lake:
        """Delta tables of the lake."""
        from include.data.lake.delta_tables import Lake

        return Lake(self.uri, self.storage_options, connection=self.lake_conn_id)

    def lake_of(self, table: str) -> tuple[Lake, str]:
        """Return the lake and the name of a table, which is a name in this lake or an address."""
        from include.data.lake.delta_tables import Lake

        folder, slash, name = table.rstrip("/").rpartition("/")
        if not slash:
            return self.lake, table
        return Lake(folder, self.storage_options, connection=self.lake_conn_id), name

    def read_parquet(self, path: str) -> DataFrame:
        """Return the frame in a Parquet file: an address, an absolute path, or a path below the lake."""
        from include.storage.staging import Staging

        if "://" not in path and not path.startswith("/"):
            return self.staging.read(path)
        folder, _, name = path.rpartition("/")
        return Staging(folder, self.storage_options, self.lake_conn_id).read(name)

    @cached_property
    def landing(self) -> Landing:
        """Folder in which files land."""
        from include.data.sources.files import Landing

        return Landing(str(self.extra["landing_uri"]).rstrip("/"), self.storage_options, self.lake_conn_id)

    @cached_property
    def staging(self) -> Staging:
        """Frames that tasks hand to each other."""
        from include.storage.staging import Staging

        return Staging(self.uri, self.storage_options, self.lake_conn_id)
