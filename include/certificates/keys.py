"""Ed25519 keys that sign certificates: generate, rotate, revoke and read them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.atomic_files import write_atomically
from include.errors import CertificateInvalid, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

SIGNING = "signing.pem"
TRUSTED = "trusted"
KEY_ID_DIGITS = 16
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def generate_keys(folder: Path) -> str:
    """
    Create `signing.pem` (mode 600) and `trusted/<key id>.pem` in `folder`.

    An existing signing key is not replaced; only its public key is written again.

    Parameters
    ----------
    folder
        Folder of the keys; it is created if it does not exist.

    Returns
    -------
    str
        Id of the signing key.
    """
    signing_path = folder / SIGNING
    if not signing_path.exists():
        return rotate_key(folder)
    return _write_public_key(folder, read_signing_key(signing_path))


def rotate_key(folder: Path) -> str:
    """
    Replace the signing key in `folder` by a new one.

    The public key of the old one stays in `trusted`, so its certificates stay valid. Its private key is lost.

    Returns
    -------
    str
        Id of the new signing key.
    """
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    # The public key comes first, so that no certificate is ever signed by a key that is not trusted yet.
    name = _write_public_key(folder, key)
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(folder / SIGNING, content, mode=PRIVATE_MODE)
    return name


def revoke_key(folder: Path, name: str) -> None:
    """
    Revoke the key `name`: versions that it signed cannot be loaded, staged or promoted any more.

    Raises
    ------
    SettingsError
        If it is the current signing key, or is not among the trusted keys.
    """
    if name == key_id(read_signing_key(folder / SIGNING).public_key()):
        raise SettingsError(f"The key {name} is the current signing key. Rotate first, then revoke it.")
    path = folder / TRUSTED / f"{name}.pem"
    if name not in trusted_key_ids(folder / TRUSTED):
        raise SettingsError(f"{path} does not exist: the key {name} is not trusted here.")
    path.rename(path.with_suffix(".revoked"))


def trusted_key_ids(trusted: Path) -> list[str]:
    """Return the ids of the keys in the folder `trusted` that are not revoked."""
    return sorted(path.stem for path in trusted.glob("*.pem"))


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: the first 16 hexadecimal digits of the SHA-256 of its raw bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_DIGITS]


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """
    Return the signing key in `path`.

    Raises
    ------
    SettingsError
        If the file cannot be read, or holds a key of another type.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: the signing key cannot be read ({error}). `make up` creates a key if the file is "
            "missing."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: the signing key must be an Ed25519 key, not {type(key).__name__}.")
    return key


def read_trusted_key(trusted: Path, name: str) -> Ed25519PublicKey:
    """
    Return the public key `name` from the folder `trusted`.

    Raises
    ------
    CertificateInvalid
        If it is missing, is revoked, or its id is not the name of its file.
    """
    path = trusted / f"{name}.pem"
    if path.with_suffix(".revoked").exists():
        raise CertificateInvalid(
            f"The key {name} was revoked: its certificates are invalid. Train a new model."
        )
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateInvalid(
            f"The key {name} is unknown: {path} cannot be read. Add its public key to that folder if you "
            "trust the owner of the private key."
        ) from error
    if not isinstance(key, Ed25519PublicKey) or key_id(key) != name:
        raise CertificateInvalid(f"{path} does not hold the key that it is named after. Replace the file.")
    return key


def _write_public_key(folder: Path, key: Ed25519PrivateKey) -> str:
    public = key.public_key()
    name = key_id(public)
    path = folder / TRUSTED / f"{name}.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_atomically(path, content, mode=PUBLIC_MODE)
    return name
