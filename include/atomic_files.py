"""Replace a file in one step."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


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
    with open_atomically(path, mode=mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_atomically(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """
    Open a new file that replaces the one at `path` when it is closed; after an error it does not.

    The parameters and errors are those of `write_atomically`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
