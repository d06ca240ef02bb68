"""Preparation before HAProxy starts: `python -m include.serving.gateway` writes the files that it reads."""

from __future__ import annotations

from include.serving.gateway.haproxy import Gateway

if __name__ == "__main__":
    Gateway().prepare()
