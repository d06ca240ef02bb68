"""Source behind HTTP: a service that answers with the file of a partition, or 404 if it has none yet."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import httpx

from include.data.sources.assembly import assemble, extract_rows, newest_partition
from include.data.sources.files import MAX_BYTES, MEBIBYTE, read_chunks
from include.data.sources.formats import Layout, Unreadable, translate_unreadable
from include.declarations import HttpSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable, SettingsError
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.data.sources.base import Extract
    from include.declarations import Dataset
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class HttpService:
    """
    A service with partitions.

    Parameters
    ----------
    client
        Client with the address and the credentials of the service.
    max_bytes
        Size of an answer, before and after decompression, above which it is not read.
    timeout_s
        Seconds in which an answer must arrive completely.
    """

    client: httpx.Client
    max_bytes: int = MAX_BYTES
    timeout_s: float = 600

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the address of a partition."""
        path = http_source(dataset).path.replace("{partition}", format_partition(partition))
        return str(self.client.base_url.join(path.lstrip("/")))

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that the service does not have yet; only the file of all is read for that."""
        if http_source(dataset).split_by is not None:
            if not self._exists(dataset, partitions[0]):
                return list(partitions)
            chunks = self._read_answer(dataset, partitions[0])
            newest = newest_partition(dataset, chunks, self.location(dataset, partitions[0]))
            return [partition for partition in partitions if newest is None or partition > newest]
        return [partition for partition in partitions if not self._exists(dataset, partition)]

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """Return the rows of these partitions."""
        declared = http_source(dataset)
        if declared.split_by is not None:
            chunks = self._read_answer(dataset, partitions[0])
            return extract_rows(dataset, chunks, partitions, self.location(dataset, partitions[0]))
        contents = ((partition, self._read_answer(dataset, partition)) for partition in partitions)
        return assemble(dataset, contents, Layout(dataset.columns, declared), self.location)

    def _exists(self, dataset: Dataset, partition: Partition) -> bool:
        with self._response(dataset, partition) as response:
            return response.status_code != httpx.codes.NOT_FOUND

    def _read_answer(self, dataset: Dataset, partition: Partition) -> Iterator[bytes]:
        content = self._content(dataset, partition)
        yield from read_chunks(content, self.max_bytes, gzip=http_source(dataset).path.endswith(".gz"))

    def _content(self, dataset: Dataset, partition: Partition) -> BytesIO:
        location = self.location(dataset, partition)
        deadline = time.monotonic() + self.timeout_s
        content = BytesIO()
        with self._response(dataset, partition) as response, translate_unreadable(dataset, location):
            if response.status_code == httpx.codes.NOT_FOUND:
                raise PartitionMissing(
                    f"{dataset.name}: {location} does not exist yet. Ask the operator of the service, then "
                    "clear this task."
                )
            for chunk in response.iter_bytes():
                content.write(chunk)
                if content.tell() > self.max_bytes:
                    raise Unreadable(f"is larger than {self.max_bytes / MEBIBYTE:,.0f} MiB")
                if time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"{location} was still sending after {self.timeout_s:g} s. Try again."
                    )
        content.seek(0)
        return content

    @contextmanager
    def _response(self, dataset: Dataset, partition: Partition) -> Iterator[httpx.Response]:
        location = self.location(dataset, partition)
        try:
            with self.client.stream("GET", location) as response:
                _raise_for_status(response.status_code, location, http_source(dataset).conn_id)
                yield response
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"{location} does not answer as expected ({type(error).__name__}: {error}). "
                "Check that it is up."
            ) from error


def http_source(dataset: Dataset) -> HttpSource:
    """
    Return the declared service of a dataset.

    Raises
    ------
    DeclarationError
        If the dataset has another kind of source.
    """
    if not isinstance(dataset.source, HttpSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: no service has it.")
    return dataset.source


def _raise_for_status(status: int, location: str, conn_id: str) -> None:
    if status in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise SettingsError(
            f"{location} refuses with {status}: correct login and password of the connection {conn_id}."
        )
    if status >= 500 or status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT}:
        raise ServiceUnavailable(f"{location} answers {status}: it is away or too busy. Try again.")
    raise DataError(
        f"{location} answers {status}, where 200 or 404 were expected. Correct the path of the dataset, or "
        f"the host of the connection {conn_id}."
    )
