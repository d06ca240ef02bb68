from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.errors import CertificateInvalid, DataError
from include.governance import package_check
from include.governance.package_check import PackageDifference, check_versions, pinned_differences, read_pins


@pytest.fixture
def pins_in(tmp_path):
    """Return a function that reads the pins of a requirements file with this text."""

    def read(text):
        path = tmp_path / "requirements.txt"
        path.write_text(text)
        return read_pins(path)

    return read


def test_pins_of_a_compiled_file_are_read(pins_in):
    text = (
        "# compiled\n--no-binary :none:\n"
        "numpy==2.1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
        "    # via pandas\nScikit_Learn[extra]==1.7.0 # by hand\nnever==1 ; python_version < '3'\n"
    )
    assert pins_in(text) == {"numpy": "2.1", "scikit-learn": "1.7.0"}


@pytest.mark.parametrize(
    "line", ["numpy", "numpy>=2", "numpy==2.*", "numpy>=2,<3", "numpy @ https://e.org/n.whl"]
)
def test_line_without_a_pin_is_refused(pins_in, line):
    with pytest.raises(DataError, match=r"requirements\.txt: `numpy.*` pins no version by `==`\. Compile"):
        pins_in(line)


def test_line_that_is_no_requirement_is_refused(pins_in, tmp_path):
    with pytest.raises(DataError, match=r"`-r other\.txt` is no requirement"):
        pins_in("-r other.txt")
    with pytest.raises(DataError, match=r"missing\.txt cannot be read"):
        read_pins(tmp_path / "missing.txt")


def test_only_other_versions_are_differences():
    environment = {"python": "3.11.9", "numpy": "2.1.0", "scikit-learn": "1.7.0", "LightGBM": "4.5"}
    assert pinned_differences(environment, {"numpy": "2.1", "scikit-learn": "1.8.0"}) == (
        PackageDifference("scikit-learn", "1.7.0", "1.8.0"),
        PackageDifference("LightGBM", "4.5", "not listed"),
    )
    assert pinned_differences(environment, {"numpy": "2.1", "scikit-learn": "1.7", "lightgbm": "4.5"}) == ()


@pytest.fixture
def versions(monkeypatch):
    """Register versions 1 to 3; the certificate of 3 is not valid."""

    def verify(content, trusted, name):
        if content == b"3":
            raise CertificateInvalid(f"{name}: altered")
        return SimpleNamespace(environment={"numpy": f"2.{content.decode()}"})

    monkeypatch.setattr(package_check, "registered_versions", lambda *_: {3, 1, 2})
    monkeypatch.setattr(package_check, "download_certificate", lambda *a: str(a[2]).encode())
    monkeypatch.setattr(package_check, "verify_signature", verify)


def test_each_version_is_checked_or_said_to_be_unknown(versions, tmp_path):
    checks = check_versions(["delay"], {"numpy": "2.1"}, mlflow_uri="http://mlflow", trusted=tmp_path)
    assert [(check.version, check.status) for check in checks] == [
        (1, "same"),
        (2, "changed"),
        (3, "unknown"),
    ]
    assert checks[1].differences == (PackageDifference("numpy", "2.2", "2.1"),)
    assert "version 3: altered" in checks[2].reason
