from __future__ import annotations

import io
from pathlib import Path
from unittest.mock import create_autospec

from PIL import Image
from playwright.sync_api import Page

from scripts.record_release import Recording

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def picture(colour):
    """Return a picture of one colour as PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "png")
    return buffer.getvalue()


def test_frames_that_do_not_change_are_one_frame(tmp_path):
    page = create_autospec(Page, instance=True)
    page.screenshot.side_effect = [picture(name) for name in ("red", "red", "red", "green", "blue")]
    recording = Recording(page)
    for _ in range(5):
        recording.add_frame()
    path = tmp_path / "release.webp"
    recording.write(path)
    with Image.open(path) as written:
        assert (written.n_frames, written.info["loop"]) == (3, 0)


def test_recording_of_the_project_moves_and_is_small():
    for scheme in ("light", "dark"):
        path = PICTURES / f"release-{scheme}.webp"
        assert path.stat().st_size <= 500_000
        with Image.open(path) as written:
            assert written.n_frames > 5
