"""The import of Feast, in a process of its own: here it may have been imported before."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import include.data.feature_store
from feast import Entity
print("check_argument_types_internal" in Entity.__init__.__code__.co_names)
"""


def test_functions_of_feast_are_not_compiled_anew():
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]
