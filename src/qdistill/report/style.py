"""How every figure looks, and the two forms it takes: a PNG file, and an SVG that a page holds.

In a page a figure takes the page's colours, which are other ones in the dark: an SVG names them as CSS variables.

Texts of a figure may come from a stranger's file. Here, where every figure passes, they are taken as they are written:
never as a formula or as TeX, and with an escape for what cannot be drawn.
"""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

from qdistill.files import write_whole
from qdistill.text import printable

INK, MUTED, FAINT, RULE = "#222222", "#666666", "#9a9a9a", "#e6e6e6"
ACCENT, SECOND = "#0b6e99", "#c8324a"
SMALL, NORMAL, LARGE = 8, 9, 11  # points

_DPI = 150
_VARIABLES = {INK: "ink", MUTED: "muted", FAINT: "faint", RULE: "rule", ACCENT: "accent", SECOND: "second"}
"""The page's CSS variable for each colour."""

_AS_WRITTEN = {"text.parse_math": False, "text.usetex": False}
"""Settings that a text takes when it is made; those of ticks are made while a figure is drawn."""

_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panel(width: float = 4.0, height: float = 2.6, *, right: float = 0.96) -> tuple[Figure, Axes]:
    """A figure of one panel, in the size that a page shows three of side by side, or one on a phone."""
    figure = new_figure(width, height)
    left, bottom, top = 0.66 / width, 0.45 / height, 1 - 0.3 / height
    return figure, figure.add_axes((left, bottom, right - left, top - bottom))


def dress(axes: Axes, title: str, x_label: str) -> None:
    """Give axes their title, and the frame and grid that all have."""
    if title:
        axes.set_title(title, size=NORMAL, loc="left", color=INK)
    axes.set_xlabel(x_label, size=SMALL)
    axes.tick_params(labelsize=SMALL, color=FAINT)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def in_powers_of_ten(axes: Axes, values: Float[np.ndarray, "..."]) -> None:
    """A logarithmic axis from one power of ten to another, with plain numbers at those in it."""
    lowest, highest = math.floor(np.log10(values.min())), math.ceil(np.log10(values.max()))
    axes.set_yscale("log")
    axes.set_ylim(10.0**lowest, 10.0 ** max(highest, lowest + 1))
    axes.yaxis.set_major_locator(LogLocator(numticks=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


class PowersOfTen(LogFormatterSciNotation):
    """Numbers of a logarithmic axis, such as 10⁻³ and 2×10⁻³, as characters: no text here is read as a formula."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a tick; empty where matplotlib gives it none."""
        formula = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")
        plain = formula.replace(r"\times", "×")
        return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(_SUPERSCRIPTS), plain)


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def shades(n: int) -> Float[np.ndarray, "n rgba"]:
    """Colours for n things in an order, such as steps or depths."""
    # The last, yellow part of the map is hard to see on white, and the first on black.
    places = np.linspace(0.12, 0.85, max(n, 1)) if n > 1 else np.array([0.3])
    colours: np.ndarray = colormaps["viridis"](places)
    return colours


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as a PNG file.

    Raises:
        RunError: it cannot be written.
    """
    write_whole(Path(path), _drawn(figure, "png"))
    return Path(path)


def _drawn(figure: Figure, form: str, **options: Any) -> bytes:
    """A figure as a file of that form, with every text as it is written."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(printable(text.get_text()))
    content = io.BytesIO()
    with rc_context(_AS_WRITTEN):  # type: ignore[arg-type]
        missing = _draw(figure, content, form, options)
        if missing and form == "png":
            # The fonts at hand lack these letters. Of empty boxes one is like the other.
            for text in figure.findobj(Text):
                assert isinstance(text, Text)
                text.set_text("".join(_escape(c) if c in missing else c for c in text.get_text()))
            content = io.BytesIO()
            _draw(figure, content, form, options)
    return content.getvalue()


def _draw(figure: Figure, content: io.BytesIO, form: str, options: dict[str, Any]) -> set[str]:
    """Draw a figure and give the characters that no font has."""
    missing = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(content, format=form, **options)
    for warning in caught:
        found = re.match(r"Glyph (\d+) .*missing from", str(warning.message))
        if found:
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return missing


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def as_png(figure: Figure) -> str:
    """A figure as the address of a picture that a page holds: for one whose colours are data, and so not the page's."""
    return png_address(_drawn(figure, "png"))


def png_address(content: bytes) -> str:
    """The content of a PNG file as the address of a picture that a page holds."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def as_svg(figure: Figure, name: str, alt: str) -> str:
    """A figure as an `<svg>` element for a page, with real text, and the same for the same figure.

    Args:
        figure: what to draw.
        name: of the figure in the page; keeps its ids apart from those of the page's other figures.
        alt: what a reader who does not see it is told.
    """
    # These two exist as settings of the whole library only; they are put back at once.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "qdistill"}):
        drawn = _drawn(figure, "svg", transparent=True, metadata=_NO_METADATA).decode()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)
    for colour, variable in _VARIABLES.items():
        drawn = re.sub(colour, f"var(--{variable})", drawn, flags=re.IGNORECASE)
    view = re.search(r'viewBox="[^"]*"', drawn)
    assert view is not None, "matplotlib writes a viewBox"
    head = f'<svg class="chart" {view[0]} role="img" aria-label="{escape(printable(alt))}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + drawn[drawn.index(">") + 1 :]
