"""Source behind HTTP: a service that answers with the file of a partition, or 404 if it has none yet."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING

import httpx

from include.data.sources.assembly import assemble, extract_rows, newest_partition
from include.data.sources.files import CHUNK_BYTES, MAX_BYTES, MEBIBYTE, read_chunks
from include.data.sources.formats import Layout, Unreadable, translate_unreadable
from include.declarations import HttpSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable, SettingsError
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from include.data.sources.base import Extract
    from include.declarations import Dataset
    from include.partitions import Partition

# A file that was changed this long before an answer does not change again within the same second.
MIN_UNCHANGED = timedelta(seconds=2)


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
    newest
        Newest partition in each file of all partitions, with the headers by which the service says that the
        file is still the same, so that a sensor reads a file again only when it has changed.
    """

    client: httpx.Client
    max_bytes: int = MAX_BYTES
    timeout_s: float = 600
    newest: dict[str, tuple[Mapping[str, str], Partition | None]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the address of a partition."""
        path = http_source(dataset).path.replace("{partition}", format_partition(partition))
        return str(self.client.base_url.join(path.lstrip("/")))

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that the service does not have yet; only the file of all is read for that."""
        if http_source(dataset).split_by is not None:
            newest = self._find_newest(dataset, partitions[0])
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

    def _find_newest(self, dataset: Dataset, partition: Partition) -> Partition | None:
        """Return the newest partition in the file of all; None if there is no file, or no row names one."""
        location = self.location(dataset, partition)
        conditions, newest = self.newest.get(dataset.name, ({}, None))
        with self._response(dataset, partition, conditions) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return newest
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            chunks = self._read_response(dataset, response, location)
            newest = newest_partition(dataset, chunks, location)
        if conditions := _conditions(response.headers):
            self.newest[dataset.name] = (conditions, newest)
        return newest

    def _read_answer(self, dataset: Dataset, partition: Partition) -> Iterator[bytes]:
        location = self.location(dataset, partition)
        with self._response(dataset, partition) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                raise PartitionMissing(
                    f"{dataset.name}: {location} does not exist yet. Ask the operator of the service, then "
                    "clear this task."
                )
            yield from self._read_response(dataset, response, location)

    def _read_response(self, dataset: Dataset, response: httpx.Response, location: str) -> Iterator[bytes]:
        """Yield the content in chunks once it has arrived completely; what is large waits on the disk."""
        with SpooledTemporaryFile(max_size=CHUNK_BYTES) as content:
            self._receive(dataset, response, content, location)
            content.seek(0)
            yield from read_chunks(content, self.max_bytes, gzip=http_source(dataset).path.endswith(".gz"))

    def _receive(self, dataset: Dataset, response: httpx.Response, content: IO[bytes], location: str) -> None:
        deadline = time.monotonic() + self.timeout_s
        with translate_unreadable(dataset, location):
            for chunk in response.iter_bytes():
                content.write(chunk)
                if content.tell() > self.max_bytes:
                    raise Unreadable(f"is larger than {self.max_bytes / MEBIBYTE:,.0f} MiB")
                if time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"{location} was still sending after {self.timeout_s:g} s. Try again."
                    )
        response.close()

    @contextmanager
    def _response(
        self, dataset: Dataset, partition: Partition, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        location = self.location(dataset, partition)
        try:
            with self.client.stream("GET", location, headers=headers) as response:
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


def _conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return headers to which the service answers 304 as long as its file is the same; {} if it cannot.

    `Last-Modified` has whole seconds, and services make an `ETag` of it: a file that changed just before the
    answer may change again and keep both (RFC 9110, 8.8.2.2).
    """
    if "Last-Modified" in headers:
        modified_at = _moment(headers["Last-Modified"])
        answered_at = _moment(headers.get("Date", ""))
        if modified_at is None or answered_at is None or answered_at - modified_at <= MIN_UNCHANGED:
            return {}
    names = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
    return {condition: headers[name] for condition, name in names.items() if name in headers}


def _moment(text: str) -> datetime | None:
    """Return the moment of a header; None if it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _raise_for_status(status: int, location: str, conn_id: str) -> None:
    if status in {httpx.codes.OK, httpx.codes.NOT_MODIFIED, httpx.codes.NOT_FOUND}:
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
