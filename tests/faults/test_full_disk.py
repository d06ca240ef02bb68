"""A full disk: no partial publication, no damage to other partitions, and a retry that succeeds."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from include.data.lake.delta_tables import Lake
from include.errors import ServiceUnavailable, SettingsError
from include.storage import reports
from tests.faults.full_disk import BIG, SMALL


def test_publication_on_a_full_disk_fails_and_changes_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.faults.full_disk", str(tmp_path)]
    process = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert process.returncode == 0, process.stderr
    publish_error, staging_error, version, path = process.stdout.splitlines()
    for message in (publish_error, staging_error):
        assert message.startswith(f"No space left on {tmp_path}: free some and clear the task.")
    lake = Lake(str(tmp_path))
    assert lake.counts("things") == {SMALL: 2, BIG: 50_000}
    assert (lake.version("things"), len(lake.read("things"))) == (int(version), 50_002)
    assert [file.name for file in (tmp_path / path).parent.iterdir()] == ["extracted.parquet"]


@pytest.fixture
def limited_file_size():
    """Let no file of this process grow beyond 100 kB, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("limited_file_size")
def test_report_on_a_full_disk_leaves_the_old_report(tmp_path):
    reports.write_report(str(tmp_path), {}, "page.html", "<p>old")
    with pytest.raises(ServiceUnavailable, match=f"No space left on {tmp_path}: free some and clear"):
        reports.write_report(str(tmp_path), {}, "page.html", "<p>new" * 100_000)
    assert reports.read_report(str(tmp_path), {}, "page.html") == "<p>old"
    assert [file.name for file in (tmp_path / "_reports").iterdir()] == ["page.html"]


def test_read_only_folder_raises_settings_error():
    with pytest.raises(SettingsError, match="/sys/lake may not be used: correct its permissions"):
        reports.write_report("/sys/lake", {}, "page.html", "<p>")
