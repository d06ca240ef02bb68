from __future__ import annotations

import json
from datetime import UTC, datetime

from include.serving.model_server.request_log import access_lines
from include.serving.model_server.request_log.access_lines import AccessLines
from include.serving.model_server.request_log.request_record import Record

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def record(number: int = 0) -> Record:
    return Record(
        "delay", f"r{number}", 1, "direct", "ann", MOMENT, 1.5, 200, [{"x": 47}], [0.5], trace_id="0af7"
    )


def test_a_line_has_ids_and_no_values(tmp_path) -> None:
    lines = AccessLines(tmp_path / "logs" / "delay.1.access.jsonl")
    lines.write([record()])
    lines.close()
    text = (tmp_path / "logs" / "delay.1.access.jsonl").read_text()
    assert json.loads(text) == {
        "at": "2026-01-01T00:00:00+00:00", "request_id": "r0", "gateway_id": None, "trace_id": "0af7",
        "use_case": "delay", "version": 1, "role": "direct", "status": 200, "latency_ms": 1.5,
        "feature_age_s": None, "rows": 1,
    }  # fmt: skip


def test_files_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(access_lines, "MAX_FILE_BYTES", 1_000)
    lines = AccessLines(tmp_path / "log")
    lines.write(record(number) for number in range(100))
    lines.close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 1 + access_lines.N_OLDER_FILES
    assert max(sizes) <= 1_000
