from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from include.cli.__main__ import LIBRARY_SETTINGS, main
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class CommandResult:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The JSON on standard output."""
        return json.loads(self.out)


@pytest.fixture
def airworthy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CommandResult]:
    """Return a way to run one command of the command line in this process."""
    for name, value in LIBRARY_SETTINGS.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> CommandResult:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return CommandResult(int(ended.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def set_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a way to set `AIRWORTHY_*` variables for this test."""

    def set_variables(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"AIRWORTHY_{name.upper()}", str(value))
        settings.cache_clear()

    yield set_variables
    settings.cache_clear()
