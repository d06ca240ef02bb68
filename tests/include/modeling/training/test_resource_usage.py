from __future__ import annotations

import subprocess
import sys
import time

from include.modeling.training.resource_usage import measure_usage

SAMPLE_TIMEOUT_S = 30


def test_wall_seconds_include_waiting_and_cpu_seconds_do_not():
    start = time.perf_counter()
    with measure_usage() as usage:
        time.sleep(0.2)
    assert 0.2 <= usage.figures["wall_seconds"] <= time.perf_counter() - start
    assert usage.figures["cpu_seconds"] < usage.figures["wall_seconds"]


def test_cpu_seconds_include_child_processes():
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    with measure_usage() as usage:
        subprocess.run([sys.executable, "-c", burn], check=True)
    assert usage.figures["cpu_seconds"] > 0.29


def test_peak_memory_includes_child_processes():
    allocate = "import sys\nblock = bytearray(300 * 1024 * 1024)\nprint(flush=True)\nsys.stdin.read()"
    with measure_usage() as usage:
        child = subprocess.Popen(
            [sys.executable, "-c", allocate], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.stdout.readline()
        usage.sample_memory()
        child.communicate()
    assert usage.figures["peak_memory_mib"] > 300


def test_peak_memory_is_sampled_while_the_block_runs():
    with measure_usage() as usage:
        deadline = time.monotonic() + SAMPLE_TIMEOUT_S
        while not usage.figures and usage.peak_bytes == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert usage.peak_bytes > 0
    assert usage.figures["peak_memory_mib"] > 10
