"""Fetch a version's files from MLflow over its REST interface, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from include.certificates import certificate
from include.errors import DataError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4 * 1024**3
TIMEOUT = httpx.Timeout(30, connect=3)
FILE_TIMEOUT = httpx.Timeout(300, connect=3)  # MLflow copies a file, however large, before it sends a byte


def download_version(uri: str, use_case: str, version: int, destination: Path) -> Path:
    """
    Return `destination`, holding the files of the version; nothing is fetched if it exists.

    :raises ServiceUnavailable: if MLflow is away, or lost its way
    :raises DataError: if the version does not exist, or its files are not where MLflow serves them
    :raises CertificateInvalid: if they are the files of another model than was registered
    """
    if destination.exists():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        with _client(uri) as client:
            registered = _registered(client, use_case, version)
            _download(client, _artifacts(client, use_case, version), draft, MAX_BYTES)
        if not any(draft.iterdir()):
            raise DataError(
                f"{use_case} version {version} has no files in MLflow at {uri}. Register it anew."
            )
        if registered is not None:
            certificate.require_digest(draft, registered, f"{use_case} version {version}")
        draft.rename(destination)
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServiceUnavailable(
            f"MLflow at {uri} does not give {use_case} version {version}: {error}"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return destination


def version_of(uri: str, use_case: str, alias: str) -> int:
    """
    Return the version that an alias of MLflow stands for now.

    :raises ServiceUnavailable: if MLflow is away
    :raises DataError: if there is no such model or alias
    """
    try:
        with _client(uri) as client:
            found = _get(client, "mlflow/registered-models/alias", {"name": use_case, "alias": alias})
            return int(found["model_version"]["version"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ServiceUnavailable(
            f"MLflow at {uri} does not say what {use_case}@{alias} is: {error}"
        ) from error


def _client(uri: str) -> httpx.Client:
    return httpx.Client(base_url=f"{uri.rstrip('/')}/api/2.0/", timeout=TIMEOUT)


def _registered(client: httpx.Client, use_case: str, version: int) -> str | None:
    """Return the digest that the version was registered with."""
    asked = {"name": use_case, "version": str(version)}
    about = _get(client, "mlflow/model-versions/get", asked)["model_version"]
    return {tag["key"]: tag["value"] for tag in about.get("tags", [])}.get("airworthy.digest")


def _artifacts(client: httpx.Client, use_case: str, version: int) -> str:
    """Return the path of the version's files below MLflow's artifact service."""
    asked = {"name": use_case, "version": str(version)}
    uri = _get(client, "mlflow/model-versions/get-download-uri", asked)["artifact_uri"]
    if uri.startswith("models:/"):
        model = _get(client, f"mlflow/logged-models/{quote(uri.removeprefix('models:/'), safe='')}", {})
        uri = model["model"]["info"]["artifact_uri"]
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts":
        raise DataError(
            f"{use_case} version {version} lies at {uri}, which MLflow does not serve: "
            "start it with --serve-artifacts and --artifacts-destination."
        )
    return str(parts.path).strip("/")


def _download(client: httpx.Client, path: str, folder: Path, allowed: int) -> int:
    """Fetch everything below `path`, at most `allowed` bytes; return how many are left of them."""
    for entry in _get(client, "mlflow-artifacts/artifacts", {"path": path}).get("files", []):
        name = PurePosixPath(entry["path"]).name
        if name in {"", ".", ".."}:
            raise DataError(f"MLflow lists a file that is called {entry['path']!r} below {path}.")
        if entry.get("is_dir"):
            (folder / name).mkdir()
            allowed = _download(client, f"{path}/{name}", folder / name, allowed)
            continue
        with (folder / name).open("wb") as file:
            for part in _stream(client, f"{path}/{name}"):
                allowed -= file.write(part)
                if allowed < 0:
                    raise DataError(f"{path} has more than {MAX_BYTES} bytes; no model is that large.")
    return allowed


def _stream(client: httpx.Client, path: str) -> Iterator[bytes]:
    address = f"mlflow-artifacts/artifacts/{quote(path)}"
    with client.stream("GET", address, timeout=FILE_TIMEOUT) as response:
        response.raise_for_status()
        yield from response.iter_bytes()


def _get(client: httpx.Client, path: str, params: dict[str, str]) -> dict[str, Any]:
    response = client.get(path, params=params)
    if response.status_code in {400, 404}:
        raise DataError(f"MLflow answered {response.status_code} to {path} {params}: {response.text[:200]}")
    response.raise_for_status()
    content: dict[str, Any] = response.json()
    return content
