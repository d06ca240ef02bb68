"""Files of declarations: those of a kind's own package, and those of use cases that hold all of theirs."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

# A file of this package may also declare the dataset and the feature view that its use case needs.
SHARED = "use_cases"


def declaring_files(root: str, kind: str, attribute: str) -> list[tuple[str, str]]:
    """
    Return package and name of each file with a declaration of a kind: of its own package, then shared ones.

    Parameters
    ----------
    root
        Package that contains those of declarations, such as `include`.
    kind
        Package of this kind, such as `datasets`.
    attribute
        Name that a declaration of this kind has in its module, such as `DATASET`.
    """
    files = [(kind, name) for name in _module_names(f"{root}.{kind}")]
    if kind == SHARED:
        return files
    assignment = re.compile(rf"^{attribute}\s*[:=]", re.MULTILINE)
    for name in _module_names(f"{root}.{SHARED}"):
        spec = find_spec(f"{root}.{SHARED}.{name}")
        # The text says whether a file is needed, so that datasets do not wait for the imports of use cases.
        if spec and spec.origin and assignment.search(Path(spec.origin).read_text(errors="replace")):
            files.append((SHARED, name))
    return files


def _module_names(package: str) -> list[str]:
    names = (module.name for module in iter_modules(import_module(package).__path__))
    # A module whose name begins with an underscore is shared by declarations.
    return sorted(name for name in names if not name.startswith("_"))
