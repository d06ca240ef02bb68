"""Entry point of the fallback server's process: `python -m include.serving.fallback`."""

from __future__ import annotations

from include.serving.fallback.server import main

if __name__ == "__main__":
    main()
