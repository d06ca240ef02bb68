"""Ways in which the text of a file may spell a value: as it is, or escaped as in JSON or CSV."""

from __future__ import annotations

import re
import string

# Bytes of the longest spelling of a letter: two escapes of JSON, of a letter beyond U+FFFF.
MAX_LETTER_BYTES = 12
_SHORT_ESCAPES = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def spelling_pattern(value: str, escapes: str = "\\") -> str:
    r"""
    Return a regular expression, for `re` and RE2, of all spellings of a value.

    In JSON any letter may be `\u` and four digits, in either case, and some have short escapes; in CSV a mark
    in a quoted value is doubled, or follows one of `escapes`.
    """
    return "".join(_letter_pattern(letter, escapes) for letter in value)


def _letter_pattern(letter: str, escapes: str) -> str:
    alternatives = [re.escape(letter)]
    if letter in string.punctuation:
        alternatives += [re.escape(f"{mark}{letter}") for mark in dict.fromkeys((letter, *escapes))]
    if letter in _SHORT_ESCAPES:
        alternatives.append(rf"\\{_SHORT_ESCAPES[letter]}")
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    alternatives.append("".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4)))
    # The longest first: a mark that is doubled is also there once.
    return f"(?:{'|'.join(sorted(alternatives, key=len, reverse=True))})"
