"""The Ed25519 keys that sign certificates, and the folder of those that are believed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.errors import CertificateInvalid, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def generate_keys(folder: Path) -> str:
    """
    Make `signing.pem` (for this user only) and `trusted/<key id>.pem` below `folder`; return the key's id.

    A signing key that exists stays as it is.
    """
    private = folder / "signing.pem"
    if private.exists():
        key = private_key(private)
    else:
        key = Ed25519PrivateKey.generate()
        folder.mkdir(parents=True, exist_ok=True)
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        _write(private, key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain), mode=0o600)
    public = folder / "trusted" / f"{key_id(key.public_key())}.pem"
    public.parent.mkdir(parents=True, exist_ok=True)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(public, key.public_key().public_bytes(serialization.Encoding.PEM, form), mode=0o644)
    return public.stem


def key_id(key: Ed25519PublicKey) -> str:
    """Return the name of a key: 16 hexadecimal digits of its sha256."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def private_key(path: Path) -> Ed25519PrivateKey:
    """
    Return the signing key in `path`.

    :raises SettingsError: if it cannot be read, or is of another kind
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: the signing key cannot be read ({error}). `make up` makes one where there is none."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: the signing key must be an Ed25519 key, not {type(key).__name__}.")
    return key


def trusted_key(trusted: Path, name: str) -> Ed25519PublicKey:
    """
    Return the key `name` from the folder of the keys that are believed.

    :raises CertificateInvalid: if it is not there, or is not the key that its file is named after
    """
    file = trusted / f"{name}.pem"
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateInvalid(
            f"The key {name} is unknown here: {file} cannot be read. "
            "Put its public key there, if you trust whoever holds the private one."
        ) from error
    if not isinstance(key, Ed25519PublicKey) or key_id(key) != name:
        raise CertificateInvalid(f"{file} does not hold the key that it is named after. Replace the file.")
    return key


def _write(path: Path, content: bytes, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
