"""The Ed25519 keys that sign certificates: made, believed, rotated, and revoked."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.errors import CertificateInvalid, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

SIGNING, TRUSTED = "signing.pem", "trusted"


def generate_keys(folder: Path) -> str:
    """
    Make `signing.pem` (for this user only) and `trusted/<key id>.pem` below `folder`; return the key's id.

    A signing key that exists stays as it is.
    """
    private = folder / SIGNING
    if not private.exists():
        return rotate(folder)
    return _publish(folder, private_key(private))


def rotate(folder: Path) -> str:
    """
    Make a new signing key in place of the one in `folder`; return its id.

    The public half of the old one stays in `trusted`, so what it signed stays valid; the private one is gone.
    """
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    name = _publish(folder, key)  # first, so that nothing is ever signed by a key that nobody knows
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    content = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    _write(folder / SIGNING, content, mode=0o600)
    return name


def revoke(folder: Path, name: str) -> None:
    """
    Stop believing the key `name`: whatever it signed cannot be loaded, staged or promoted any more.

    :raises SettingsError: if it signs still, or is not among the trusted keys
    """
    if name == key_id(private_key(folder / SIGNING).public_key()):
        raise SettingsError(f"The key {name} signs still. Rotate first, then revoke it.")
    file = folder / TRUSTED / f"{name}.pem"
    if name not in trusted_names(folder / TRUSTED):
        raise SettingsError(f"{file} does not exist: the key {name} is not trusted here.")
    file.rename(file.with_suffix(".revoked"))


def trusted_names(trusted: Path) -> list[str]:
    """Return the ids of the keys that are believed."""
    return sorted(file.stem for file in trusted.glob("*.pem"))


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

    :raises CertificateInvalid: if it is not there, was revoked, or is not what its file is named after
    """
    file = trusted / f"{name}.pem"
    if file.with_suffix(".revoked").exists():
        raise CertificateInvalid(
            f"The key {name} was revoked: nothing that it signed is believed. Train the model anew."
        )
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


def _publish(folder: Path, key: Ed25519PrivateKey) -> str:
    public = folder / TRUSTED / f"{key_id(key.public_key())}.pem"
    public.parent.mkdir(parents=True, exist_ok=True)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(public, key.public_key().public_bytes(serialization.Encoding.PEM, form), mode=0o644)
    return public.stem


def _write(path: Path, content: bytes, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
