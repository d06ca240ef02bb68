from __future__ import annotations

import pytest

from include.errors import DeclarationError
from include.import_paths import import_class, require_constructor, require_method
from tests.include.data.sources import tides
from tests.include.data.sources.tides import OtherParameters, Tides, WithoutRead

PARAMETERS = ("dataset", "partition")


def test_class_is_imported():
    assert import_class(f"{tides.__name__}:Tides", "source.path") is Tides


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("include.nowhere:Source", "include.nowhere cannot be imported: ModuleNotFoundError"),
        (f"{tides.__name__}:Nobody", "has no class Nobody"),
        (f"{tides.__name__}:function", "has no class function"),
        ("tests.include.data.sources.broken:Source", "cannot be imported: SystemExit: 3"),
    ],
    ids=["no module", "no class", "no class but a function", "failing module"],
)
def test_path_without_a_class_is_refused(path, message):
    with pytest.raises(DeclarationError, match=f"^source.path: .*{message}"):
        import_class(path, "source.path")


def test_method_needs_the_expected_parameters():
    require_method(Tides, "read", PARAMETERS, "source.path")
    with pytest.raises(DeclarationError, match=r"WithoutRead has no method read\(dataset, partition\)"):
        require_method(WithoutRead, "read", PARAMETERS, "source.path")
    with pytest.raises(
        DeclarationError, match=r"cannot be called as .*: missing a required argument: 'depth'"
    ):
        require_method(OtherParameters, "read", PARAMETERS, "source.path")


def test_static_method_has_no_self():
    class Static:
        @staticmethod
        def read(dataset, partition):
            return []

    require_method(Static, "read", PARAMETERS, "source.path")


def test_constructor_needs_the_declared_options():
    require_constructor(Tides, {"station": "Dover"}, "source.options")
    with pytest.raises(DeclarationError, match=r"Tides\(station, place\) cannot be called: .*'place'"):
        require_constructor(Tides, {"station": "Dover", "place": 1}, "source.options")
