"""Whatever a text is, a figure shows it as it is written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from matplotlib.text import Text

from qdistill.evaluate.gradients import SKIPS, Place, Point
from qdistill.evaluate.noisy import NoisyPoint
from qdistill.evaluate.protocol import Evaluations
from qdistill.report.diagnosis import draw_diagnosis
from qdistill.report.figures import draw_images, draw_profile
from qdistill.report.noise_figure import draw_noise
from qdistill.report.panels import draw_executions
from qdistill.report.style import PowersOfTen, as_svg, new_figure, panel, save
from qdistill.report.table_figures import draw_table
from qdistill.text import printable

from ..distill.samples import random_bundle
from .runs import TABLE

HOSTILE = (
    r"$\frac$",
    "$5 to $10",
    r"\$ $ \alpha_$",
    "two\nlines",
    "nul\x00 escape\x1b[31m",
    "x" * 400,
    "猫 👩\u200d🚀 \U0010fffd",
    "\u202eright to left",
    "<b>&amp;</b>",
    "",
)


def diagnosis(path, text):
    points = [
        Point(
            n,
            layers,
            observable,
            skip,
            Place(10.0**-n, 1.0, (0.5 * 10.0**-n, 2 * 10.0**-n)),
            Place(2e-3, 1.0, (1e-3, 3e-3)),
        )
        for n in (2, 4)
        for layers in (1, 2)
        for observable in ("pauli_z", "hermitian")
        for skip in SKIPS
    ]
    return draw_diagnosis(points, text, path)


def noise(path, text):
    evaluation = Evaluations((0.5, 0.6, 0.7), 0.6, (0.4, 0.8), 500)
    return draw_noise([NoisyPoint(16, None, evaluation)], 0.7, text, path)


def executions(path, text):
    figure, axes = panel(4.8, 2.6, right=0.98)
    trainings = [{"name": text, "circuits": 10**k, "accuracy": 0.1 * k} for k in (3, 4, 5)]
    draw_executions(axes, {"points": [(2000, 0.3), (300_000, 0.4)], "trainings": trainings})
    return save(figure, path)


def profile(path, text):
    rows = [{"part": text, "phase": "forward", "ms": 1.0}, {"part": "other", "phase": "", "ms": 2.0}]
    return draw_profile({"rows": rows, "iteration_ms": 3.0}, path)


def table(path, text):
    changed = json.loads(json.dumps(TABLE))
    changed["rows"][0]["title"] = text
    return draw_table(changed, path)


def images(path, text):
    return draw_images(random_bundle(class_names=(text, "b", "c"), dataset=text), path)


FIGURES: dict[str, Any] = {
    "inputs": images,
    "noise": noise,
    "diagnosis": diagnosis,
    "executions": executions,
    "profile": profile,
    "table": table,
}
"""A figure of each kind that shows a text from elsewhere."""


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_shows_any_text(kind, text, tmp_path):
    picture = FIGURES[kind](tmp_path / "x.png", text)
    assert picture.read_bytes().startswith(b"\x89PNG")


def texts_of(svg):
    root = ET.fromstring(svg)
    return ["".join(element.itertext()) for element in root.iter("text")]


def titled(text):
    figure = new_figure(4.0, 3.0)
    figure.text(0.1, 0.9, text)
    return figure


@given(st.text(st.characters(exclude_categories=()), max_size=12))
@example(r"$\frac$")
@example("$x^2$")
@example("\ud800 \x0b\ufffe")
@settings(max_examples=30)
def test_an_svg_holds_the_text_itself(text):
    shown = printable(text)
    assert texts_of(as_svg(titled(text), "name", text)) == ([shown] if shown.strip() else [])


def test_letters_that_no_font_has_are_told_apart(tmp_path):
    one, two = (imread(save(titled(text), tmp_path / "x.png")) for text in "猫犬")
    assert not np.array_equal(one, two)


def test_a_users_settings_do_not_make_formulas_of_texts(tmp_path):
    with mpl.rc_context({"text.usetex": True, "text.parse_math": True}):
        figure, axes = panel()
        axes.plot([1, 10], [1, 100])
        axes.set_title("$5 to $10, 100 % & more")
        assert save(figure, tmp_path / "x.png").exists()
    assert not any(text.get_usetex() or text.get_parse_math() for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("value", "label"), [(1e-3, "10⁻³"), (1e12, "10¹²"), (2e-5, "2×10⁻⁵"), (1.0, "10⁰"), (-1e3, "-10³"), (0.0, "0")]
)
def test_powers_of_ten_are_plain_characters(value, label):
    formatter = PowersOfTen(labelOnlyBase=False)
    formatter.create_dummy_axis(minpos=1e-9)
    low, high = sorted((0.5 * value, 3 * value))
    formatter.axis.set_view_interval(low or 1e-3, high or 1.0)
    formatter.set_locs()
    assert formatter(value).replace("−", "-") == label


def test_no_axis_is_left_with_a_formula(tmp_path):
    figure, axes = panel(4.8, 2.6, right=0.98)
    trainings = [{"name": "a", "circuits": 10**k, "accuracy": 0.1 * k} for k in (3, 4, 5)]
    draw_executions(axes, {"points": [(2000, 0.3), (300_000, 0.4)], "trainings": trainings})
    drawn = texts_of(as_svg(figure, "x", "x"))
    assert "10⁴" in drawn
    assert not any("$" in text or "mathdefault" in text for text in drawn)
