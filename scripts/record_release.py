"""Record the page of a model while a version is released, as moving pictures for the README."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

from include.credentials import admin_login
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from include.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SCHEMES = ("light", "dark")
SIZE = {"width": 960, "height": 660}
START_TIMEOUT_S = 900.0
PAGE_TIMEOUT_MS = 60_000
FRAME_INTERVAL_S = 1.0
# The recording is played faster than it was, and stays at its end.
FRAME_MS = 350
LAST_FRAME_MS = 4_000
# Frames after the rollout has ended, which show how.
LAST_FRAMES = 8
# About 12 KB each.
MAX_FRAMES = 36
QUALITY = 50
# A chart that is read again is not there for a moment.
CHARTS_ARE_SHOWN = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
# Facts, traffic and timeline are left, so that they fit on one picture.
STYLE = """
header, main > p, .links, section:not([aria-labelledby="traffic-title"], [aria-labelledby="timeline-title"]),
#message { display: none }
.chart { max-height: 11rem }
section p { margin: .2rem 0 }
h2 { margin: .7rem 0 .3rem }
"""


@dataclass
class Recording:
    """A page in one colour scheme, and its frames: picture and how often it was the same."""

    page: Page
    frames: list[tuple[bytes, int]] = field(default_factory=list)

    def add_frame(self) -> None:
        """Take a picture of the page; one like the last one is counted only."""
        self.page.wait_for_function(CHARTS_ARE_SHOWN)
        picture = self.page.screenshot()
        if self.frames and self.frames[-1][0] == picture:
            self.frames[-1] = (picture, self.frames[-1][1] + 1)
        else:
            self.frames.append((picture, 1))

    def write(self, path: Path) -> None:
        """Write at most `MAX_FRAMES` of the frames as an animated WebP that is repeated for ever."""
        n_frames = min(len(self.frames), MAX_FRAMES)
        last = len(self.frames) - 1
        frames = [self.frames[round(last * number / max(1, n_frames - 1))] for number in range(n_frames)]
        pictures = [Image.open(io.BytesIO(picture)).convert("RGB") for picture, _ in frames]
        durations = [FRAME_MS * min(count, 4) for _, count in frames]
        durations[-1] = LAST_FRAME_MS
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=durations, loop=0,
            quality=QUALITY, method=4,
        )  # fmt: skip


def main() -> None:
    """Record the next rollout of a model on the running stack, in light and in dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="such as flight_delay")
    parser.add_argument("--name", default="release", help="beginning of the names of the pictures")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing. Type: sudo apt-get install --yes chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        client = log_in(settings())
        recordings = {scheme: open_recording(browser, client, arguments.model, scheme) for scheme in SCHEMES}
        for _ in rollout_moments(client, arguments.model):
            for recording in recordings.values():
                recording.add_frame()
        for scheme, recording in recordings.items():
            path = arguments.folder / f"{arguments.name}-{scheme}.webp"
            recording.write(path)
            sys.stdout.write(f"{path}: {len(recording.frames)} frames, {path.stat().st_size:,} bytes\n")
        browser.close()


def log_in(stack: Settings) -> httpx.Client:
    """Return a client of Airflow with the login of its administrator."""
    user, password = admin_login(stack.root)
    client = httpx.Client(base_url=stack.airflow_uri, timeout=PAGE_TIMEOUT_MS / 1_000, trust_env=False)
    response = client.post("/auth/token", json={"username": user, "password": password})
    token = response.raise_for_status().json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    client.cookies.set("_token", token)
    return client


def open_recording(browser: Browser, client: httpx.Client, model: str, scheme: Any) -> Recording:
    """Open the page of a model in a colour scheme."""
    context = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    address = str(client.base_url)
    context.add_cookies([{"name": "_token", "value": client.cookies["_token"], "url": address}])
    page = context.new_page()
    page.set_default_timeout(PAGE_TIMEOUT_MS)
    page.goto(f"{address.rstrip('/')}/airworthy/models/{model}")
    page.wait_for_selector("h1")
    # The page's own policy allows no style from outside, but the browser's does.
    page.evaluate(
        "text => { const sheet = new CSSStyleSheet(); sheet.replaceSync(text); "
        "document.adoptedStyleSheets = [sheet]; }",
        STYLE,
    )
    return Recording(page)


def rollout_moments(client: httpx.Client, model: str) -> Iterator[None]:
    """Wait until a version gets copies or requests, and yield once a second until its rollout is over."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _is_moving(client, model):
        if time.monotonic() > deadline:
            sys.exit(f"No rollout of {model} began within {START_TIMEOUT_S:.0f} s.")
        time.sleep(FRAME_INTERVAL_S)
    remaining = LAST_FRAMES
    while remaining:
        yield
        remaining = LAST_FRAMES if _is_moving(client, model) else remaining - 1
        time.sleep(FRAME_INTERVAL_S)


def _is_moving(client: httpx.Client, model: str) -> bool:
    """Return whether a challenger gets requests, or copies of them."""
    answer = client.get(f"/airworthy/api/models/{model}").raise_for_status().json()
    return answer["challenger"] is not None and bool(answer["challenger_share"] or answer["shadow_share"])


if __name__ == "__main__":
    main()
