from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure

from include.modeling.evaluation.figures import render_png


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    return figure


def test_a_rendered_figure_has_the_requested_size(figure):
    from matplotlib.image import imread

    height, width, _channels = imread(io.BytesIO(render_png(figure, dpi=50)), format="png").shape
    assert (height, width) == (50, 100)


def test_a_figure_rendered_again_gives_the_same_bytes(figure):
    content = render_png(figure)
    assert content == render_png(figure)
    assert b"Software" not in content
