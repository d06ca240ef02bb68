"""Entry point of the controller's process: `python -m include.serving.controller`."""

from __future__ import annotations

from include.serving.controller.controller import main

if __name__ == "__main__":
    main()
