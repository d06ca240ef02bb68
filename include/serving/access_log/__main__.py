"""Entry point of the collector's process: `python -m include.serving.access_log`."""

from __future__ import annotations

from include.serving.access_log.collector import main

if __name__ == "__main__":
    main()
