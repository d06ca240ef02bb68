"""Keys of certificates from the command line: list, rotate, revoke."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from include.errors import AirworthyError

if TYPE_CHECKING:
    from collections.abc import Sequence

from include.certificates.keys import (
    SIGNING,
    TRUSTED,
    key_id,
    read_signing_key,
    revoke_key,
    rotate_key,
    trusted_key_ids,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked with the keys of this home; return 1 if that cannot be."""
    from include.settings import settings

    parser = argparse.ArgumentParser(prog="python -m include.cli.keys", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="the trusted keys; * signs")
    verbs.add_parser("rotate", help="make a new signing key; what the old one signed stays valid")
    verbs.add_parser("revoke", help="no longer believe a key").add_argument("key")
    given = parser.parse_args(arguments)
    folder = settings().signing_key.parent
    try:
        if given.verb == "rotate":
            rotate_key(folder)
        elif given.verb == "revoke":
            revoke_key(folder, given.key)
        signs = key_id(read_signing_key(folder / SIGNING).public_key())
    except AirworthyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in trusted_key_ids(folder / TRUSTED):
        sys.stdout.write(f"{name}{' *' if name == signs else ''}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
