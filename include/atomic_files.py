"""Replace a file in one step."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, content: bytes | str, *, mode: int = 0o666) -> None:
    """
    Replace the file at `path` in one step, so that readers see the old content or the new one.

    The content goes to a new file in the same folder, which is then renamed. Processes and threads may
    replace the same file at once; the last one wins. If writing fails, the new file is deleted.

    Parameters
    ----------
    path
        File in an existing folder.
    content
        Bytes, or text that is encoded as UTF-8.
    mode
        Permissions of the file, less the umask of the process.

    Raises
    ------
    OSError
        If the folder does not exist, is not writable or is full.
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
