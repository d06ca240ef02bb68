from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from include.modeling.training.resource_usage import measure_usage


def test_cpu_seconds_are_those_of_work_and_not_of_waiting():
    with measure_usage() as usage:
        time.sleep(0.3)
    assert usage.figures["wall_seconds"] > 0.29
    assert usage.figures["cpu_seconds"] < 0.2


def test_the_work_of_children_counts():
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    with measure_usage() as usage:
        subprocess.run([sys.executable, "-c", burn], check=True)
    assert usage.figures["cpu_seconds"] > 0.29


def test_the_memory_of_children_counts():
    hold = "import time\nheld = bytearray(300 * 1024 * 1024)\ntime.sleep(0.8)"
    with measure_usage() as alone:
        np.ones(10)
    with measure_usage() as usage:
        subprocess.run([sys.executable, "-c", hold], check=True)
    assert usage.figures["peak_memory_mib"] > 300
    assert alone.figures["peak_memory_mib"] > 10
