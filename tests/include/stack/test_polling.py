from __future__ import annotations

import pytest

from include.stack.polling import wait_for_value


def test_first_value_ends_the_wait():
    values = iter([None, None, 0, 1])
    assert wait_for_value(lambda: next(values), timeout=60, interval=0.001) == 0
    assert list(values) == [1]


def test_wait_without_a_value_returns_none_after_one_look():
    looks = []
    assert wait_for_value(lambda: looks.append("look"), timeout=0, interval=60) is None
    assert looks == ["look"]


def test_error_of_the_look_ends_the_wait():
    def look():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        wait_for_value(look, timeout=60, interval=60)
