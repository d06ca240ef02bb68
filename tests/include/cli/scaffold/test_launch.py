from __future__ import annotations


def test_launch_without_a_stack_says_how_to_start_it(airworthy, home):
    result = airworthy("launch", "air_time")
    assert result.code == 1
    assert "make" in result.out
