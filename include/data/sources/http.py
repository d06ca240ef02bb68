"""A service that answers with the file of a partition, and with 404 until there is one."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import httpx

from include import partitions as names
from include.data.sources.files import MAXIMUM_BYTES, assemble, decompress, translate_unreadable
from include.data.sources.formats import Layout, Unreadable
from include.declarations import HttpSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.data.sources.base import Extract
    from include.declarations import Dataset
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class HttpService:
    """
    What `client` reaches, with the address and the credentials that it has.

    An answer has at most `maximum_bytes`, packed and unpacked, and `seconds` to arrive in full.
    """

    client: httpx.Client
    maximum_bytes: int = MAXIMUM_BYTES
    seconds: float = 600

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the address of a partition."""
        path = http_source(dataset).path.replace("{partition}", names.format_partition(partition))
        return str(self.client.base_url.join(path.lstrip("/")))

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that the service does not have yet; of the others not a byte is read."""
        return [one for one in partitions if not self._there(dataset, one)]

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """Return the rows of these answers."""
        declared = http_source(dataset)
        contents = {one: self._content(dataset, one) for one in partitions}
        layout = Layout(dataset.columns, declared.format, declared.delimiter)
        return assemble(dataset, contents, layout, self.location)

    def _there(self, dataset: Dataset, partition: Partition) -> bool:
        with self._answer(dataset, partition) as answer:
            return answer.status_code != httpx.codes.NOT_FOUND

    def _content(self, dataset: Dataset, partition: Partition) -> bytes:
        place, until, content = self.location(dataset, partition), time.monotonic() + self.seconds, BytesIO()
        with self._answer(dataset, partition) as answer, translate_unreadable(dataset, place):
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise PartitionMissing(
                    f"{dataset.name}: {place} is not there yet. Ask who serves it, then clear this task."
                )
            for piece in answer.iter_bytes():
                content.write(piece)
                if content.tell() > self.maximum_bytes:
                    raise Unreadable(f"is larger than {self.maximum_bytes / (1 << 20):,.0f} MiB")
                if time.monotonic() > until:
                    raise ServiceUnavailable(
                        f"{place} was still sending after {self.seconds:g} s. Try again."
                    )
            content.seek(0)
            return decompress(content, self.maximum_bytes, gzip=http_source(dataset).path.endswith(".gz"))

    @contextmanager
    def _answer(self, dataset: Dataset, partition: Partition) -> Iterator[httpx.Response]:
        place = self.location(dataset, partition)
        try:
            with self.client.stream("GET", place) as answer:
                _judge(answer.status_code, place, http_source(dataset).conn_id)
                yield answer
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"{place} does not answer as it should ({type(error).__name__}: {error}). "
                "See whether it is up."
            ) from error


def http_source(dataset: Dataset) -> HttpSource:
    """
    Return the declared service of a dataset.

    :raises DeclarationError: if it comes from elsewhere
    """
    if not isinstance(dataset.source, HttpSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: no service has it.")
    return dataset.source


def _judge(status: int, place: str, conn_id: str) -> None:
    if status in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise SettingsError(
            f"{place} refuses with {status}: correct login and password of the connection {conn_id}."
        )
    if status >= 500 or status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT}:
        raise ServiceUnavailable(f"{place} answers {status}: it is away or too busy. Try again.")
    raise DataError(
        f"{place} answers {status}, where 200 or 404 were expected. Correct the path of the dataset, or the "
        f"host of the connection {conn_id}."
    )
