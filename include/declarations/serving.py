"""In which form a model answers its callers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.declarations.base import Declaration

Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Serving(Declaration):
    """
    `onnx` exports the model to an ONNX graph, which answers alone; `python` serves the estimator itself.

    A graph that answers a row otherwise than the estimator by more than `tolerance`, in the units of the
    prediction, is refused when the model is trained. A model larger than `maximum_megabytes` is refused too.
    """

    runtime: Literal["python", "onnx"] = "python"
    tolerance: float = Field(default=1e-5, gt=0)
    maximum_megabytes: float = Field(default=500, gt=0)
