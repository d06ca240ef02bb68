"""Wait for a condition that has to be looked at again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_for_value(look: Callable[[], T | None], *, timeout: float, interval: float) -> T | None:
    """
    Call `look` until it returns a value.

    Parameters
    ----------
    look
        Returns None as long as there is no value. It is called at least once; what it raises ends the wait.
    timeout
        Seconds after which no further call is made.
    interval
        Seconds between two calls.

    Returns
    -------
    T | None
        The value, or None if there was none in time.
    """
    retrying = Retrying(
        retry=retry_if_result(_is_none),
        wait=wait_fixed(interval),
        stop=stop_after_delay(timeout),
        retry_error_callback=_return_none,
    )
    return retrying(look)


def _is_none(value: object) -> bool:
    return value is None


def _return_none(_: RetryCallState) -> None:
    return None
