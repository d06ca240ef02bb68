from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import pytest

from include.errors import ServiceUnavailable
from include.modeling.transient_errors import translate_transient


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionRefusedError("Connection refused"),
        BrokenProcessPool("a worker was killed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_transient_error_is_translated(error):
    expected = f"the fit was cut short: {type(error).__name__}"
    with pytest.raises(ServiceUnavailable, match=expected), translate_transient("the fit"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("/weights.bin"),
        PermissionError("/weights.bin"),
        ValueError("no"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_another_error_is_raised_unchanged(error):
    with pytest.raises(type(error)) as raised, translate_transient("the fit"):
        raise error
    assert raised.value is error
