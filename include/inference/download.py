"""Download of a model version from MLflow's REST interface, without MLflow's client."""

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

MAX_DOWNLOAD_BYTES = 4 * 1024**3
REQUEST_TIMEOUT = httpx.Timeout(30, connect=3)
# MLflow copies a file, however large, before it sends the first byte.
FILE_TIMEOUT = httpx.Timeout(300, connect=3)


def download_version(uri: str, use_case: str, version: int, destination: Path) -> Path:
    """
    Download the files of a version into `destination`, which appears complete or not at all.

    Nothing is downloaded if `destination` exists.

    Parameters
    ----------
    uri
        Address of the MLflow server.
    use_case, version
        Name and version of the registered model.
    destination
        Folder of the files; it is returned.

    Raises
    ------
    ServiceUnavailable
        If MLflow cannot be reached, or its response is not valid.
    DataError
        If the version does not exist, or MLflow does not serve its files.
    CertificateInvalid
        If the files have another digest than the version was registered with.
    """
    if destination.exists():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        with _open_client(uri) as client:
            digest = _registered_digest(client, use_case, version)
            _download_folder(client, _artifact_path(client, use_case, version), draft, MAX_DOWNLOAD_BYTES)
        if not any(draft.iterdir()):
            raise DataError(
                f"{use_case} version {version} has no files in MLflow at {uri}. Register the model again."
            )
        if digest is not None:
            certificate.require_digest(draft, digest, f"{use_case} version {version}")
        draft.rename(destination)
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServiceUnavailable(
            f"{use_case} version {version} cannot be downloaded from MLflow at {uri}: {error}"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return destination


def download_certificate(uri: str, use_case: str, version: int) -> bytes:
    """
    Return the content of the certificate of a version, not verified.

    Raises
    ------
    ServiceUnavailable
        If MLflow cannot be reached, or its response is not valid.
    DataError
        If the version does not exist, or has no certificate.
    """
    try:
        with _open_client(uri) as client:
            folder = _artifact_path(client, use_case, version)
            files = _get(client, "mlflow-artifacts/artifacts", {"path": folder}).get("files", [])
            # MLflow answers 500 to the download of a file that an object store does not have.
            if certificate.FILE_NAME not in {PurePosixPath(entry["path"]).name for entry in files}:
                raise DataError(f"{use_case} version {version} has no certificate in MLflow at {uri}.")
            return b"".join(_stream_file(client, f"{folder}/{certificate.FILE_NAME}"))
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ServiceUnavailable(
            f"The certificate of {use_case} version {version} cannot be read from MLflow at {uri}: {error}"
        ) from error


def registered_versions(uri: str, use_case: str) -> set[int]:
    """
    Return the versions of a registered model; none if there is no such model.

    Raises
    ------
    ServiceUnavailable
        If MLflow cannot be reached, or its response is not valid.
    """
    versions: set[int] = set()
    parameters = {"filter": f"name = '{use_case}'"}
    try:
        with _open_client(uri) as client:
            while True:
                content = _get(client, "mlflow/model-versions/search", parameters)
                versions |= {int(entry["version"]) for entry in content.get("model_versions", [])}
                if not content.get("next_page_token"):
                    return versions
                parameters["page_token"] = content["next_page_token"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ServiceUnavailable(
            f"The versions of {use_case} cannot be read from MLflow at {uri}: {error}"
        ) from error


def version_of(uri: str, use_case: str, alias: str) -> int:
    """
    Return the version that an alias of a registered model names now.

    Raises
    ------
    ServiceUnavailable
        If MLflow cannot be reached, or its response is not valid.
    DataError
        If there is no such model or alias.
    """
    try:
        with _open_client(uri) as client:
            content = _get(client, "mlflow/registered-models/alias", {"name": use_case, "alias": alias})
            return int(content["model_version"]["version"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise ServiceUnavailable(
            f"The version of {use_case}@{alias} cannot be read from MLflow at {uri}: {error}"
        ) from error


def _open_client(uri: str) -> httpx.Client:
    return httpx.Client(base_url=f"{uri.rstrip('/')}/api/2.0/", timeout=REQUEST_TIMEOUT)


def _registered_digest(client: httpx.Client, use_case: str, version: int) -> str | None:
    """Return the digest that the version was registered with, if it has one."""
    parameters = {"name": use_case, "version": str(version)}
    content = _get(client, "mlflow/model-versions/get", parameters)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in content.get("tags", [])}
    return tags.get("airworthy.digest")


def _artifact_path(client: httpx.Client, use_case: str, version: int) -> str:
    """Return the path of the version's files in MLflow's artifact service."""
    parameters = {"name": use_case, "version": str(version)}
    uri = _get(client, "mlflow/model-versions/get-download-uri", parameters)["artifact_uri"]
    if uri.startswith("models:/"):
        model_id = quote(uri.removeprefix("models:/"), safe="")
        content = _get(client, f"mlflow/logged-models/{model_id}", {})
        uri = content["model"]["info"]["artifact_uri"]
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts":
        raise DataError(
            f"The files of {use_case} version {version} are at {uri}, which MLflow does not serve: "
            "start it with --serve-artifacts and --artifacts-destination."
        )
    return str(parts.path).strip("/")


def _download_folder(client: httpx.Client, path: str, folder: Path, max_bytes: int) -> int:
    """Download everything below `path`, at most `max_bytes`; return how many of these bytes are left."""
    bytes_left = max_bytes
    for entry in _get(client, "mlflow-artifacts/artifacts", {"path": path}).get("files", []):
        name = PurePosixPath(entry["path"]).name
        if name in {"", ".", ".."}:
            raise DataError(f"MLflow lists a file with the name {entry['path']!r} below {path}.")
        if entry.get("is_dir"):
            (folder / name).mkdir()
            bytes_left = _download_folder(client, f"{path}/{name}", folder / name, bytes_left)
            continue
        with (folder / name).open("wb") as file:
            for chunk in _stream_file(client, f"{path}/{name}"):
                bytes_left -= file.write(chunk)
                if bytes_left < 0:
                    raise DataError(f"{path} has more than the accepted {MAX_DOWNLOAD_BYTES} bytes.")
    return bytes_left


def _stream_file(client: httpx.Client, path: str) -> Iterator[bytes]:
    address = f"mlflow-artifacts/artifacts/{quote(path)}"
    with client.stream("GET", address, timeout=FILE_TIMEOUT) as response:
        response.raise_for_status()
        yield from response.iter_bytes()


def _get(client: httpx.Client, path: str, parameters: dict[str, str]) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    if response.status_code in {400, 404}:
        raise DataError(
            f"MLflow answered {response.status_code} to {path} {parameters}: {response.text[:200]}"
        )
    response.raise_for_status()
    content: dict[str, Any] = response.json()
    return content
