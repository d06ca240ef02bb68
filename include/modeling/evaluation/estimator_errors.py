"""Translation of what an estimator raises while it is fitted or asked for predictions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.errors import AirworthyError, ModelError
from include.modeling.transient_errors import translate_transient
from include.user_code import describe_error

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def estimator_errors(action: str, *, remedy: str, error: type[AirworthyError] = ModelError) -> Iterator[None]:
    """
    Translate what an estimator raises inside the block; the project's own errors pass unchanged.

    Parameters
    ----------
    action : str
        What the estimator does, with the use case: "flight_delay: the prediction of 500 rows".
    remedy : str
        Last sentence of the message: what to correct.
    error : type[AirworthyError], default ModelError
        Class of the error in place of the estimator's own.

    Raises
    ------
    ModelError
        If the estimator raises; the message quotes it.
    ServiceUnavailable
        If memory, disk, a worker or a connection failed, which says nothing about the model.
    """
    try:
        with translate_transient(action):
            yield
    except AirworthyError:
        raise
    except Exception as cause:
        # An estimator of somebody else may raise anything, and does so again at the next try.
        raise error(f"{action} failed: {describe_error(cause)}. {remedy}") from cause
