"""The code blocks of docs/tutorial.md: what a reader types without the stack, and with it."""

from __future__ import annotations

import re
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
NEEDS_STACK = "<!-- from here on, the blocks need the stack -->"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_blocks(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the blocks before the stack is needed and those after, each with its language."""
    before, _, after = text.partition(NEEDS_STACK)
    return BLOCK.findall(before), BLOCK.findall(after)


def commands(blocks: list[tuple[str, str]]) -> list[str]:
    """Return the commands of the shell blocks, one for each line; a line that ends with `\\` goes on."""
    shell = "".join(code for language, code in blocks if language == "sh")
    return shell.replace("\\\n", " ").splitlines()
