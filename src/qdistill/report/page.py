"""One self-contained HTML page for a run, for several seeds side by side, or for a table of results.

A page holds its style, data and pictures itself and asks no network for anything; its own policy forbids it. What
each kind of page shows is gathered in a module of its own (`run_page`, `seeds_page`, `table_page`) and laid out by the
template of the same name. So another kind of page is one more module and one more template.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from qdistill.distill.zoo import named_or_path
from qdistill.errors import RunError
from qdistill.files import BUNDLE, RECIPE, SEEDS, TABLE, check_writable, write_text
from qdistill.report import run_page, seeds_page, table_page
from qdistill.text import printable

PAGE = "report.html"
"""The page's name in the folder that it tells of."""

CommandOf = Callable[..., str]
"""A recipe as plain data, and the seeds of several runs -> the command that follows it."""


def write_report(
    path: Path | str, out: Path | str | None = None, *, command_of: CommandOf, data_dir: Path | None = None
) -> Path:
    """Write the page of a run, of several seeds, of a bundle file, or of a table.

    Args:
        path: the folder of a run, of seeds or of a table, a bundle file, or the name of one of the zoo's.
        out: where to; by default `report.html` in the folder, or beside the bundle file under its name.
        command_of: gives the command that repeats a run.
        data_dir: where the dataset's files lie. The test set is needed for the confusion matrix; a page without it
            says what is missing.

    Returns:
        The path of the page.

    Raises:
        RunError: the folder is none of these, something in it is damaged, or the page cannot be written.
        BundleError: the bundle is damaged.
    """
    given, path = Path(path), named_or_path(path)
    if not path.is_file() and not any((path / name).exists() for name in (TABLE, SEEDS, RECIPE, BUNDLE)):
        raise RunError(
            f"There is nothing to report in {path}: it holds no {RECIPE}, {BUNDLE}, {SEEDS} or {TABLE}. "
            "Name the folder of a run, of several seeds or of a table, or a bundle file."
        )
    if out is None:
        out = Path(f"{given}.html") if path != given else path.with_suffix(".html") if path.is_file() else path / PAGE
    check_writable(Path(out))
    if (path / TABLE).exists():
        template, context = "table.html.jinja", table_page.gather(path)
    elif (path / SEEDS).exists():
        template, context = "seeds.html.jinja", seeds_page.gather(path, command_of)
    else:
        template, context = "run.html.jinja", run_page.gather(path, command_of, data_dir)
    write_text(Path(out), render(template, context))
    return Path(out)


def render(template: str, context: Mapping[str, Any]) -> str:
    """Lay out what a page shows; a value that the template names and the context lacks is an error."""
    environment = Environment(
        loader=PackageLoader("qdistill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda value: "not measured" if value is None else f"{value:.2%}".replace("%", "\u202f%"),
        "hundredths": lambda value: f"{100 * value:.2f}",
        "points": lambda value: f"{100 * value:+.2f}".replace("-", "\u2212"),
        "number": lambda value: "\u2013" if value is None else f"{value:.4g}".replace("-", "\u2212"),
        "fixed": lambda value: f"{value:.4f}".replace("-", "\u2212"),
        "count": lambda value: "\u2013" if value is None else f"{value:,}",
        # A long dotted name may break after its dots and underscores.
        "breakable": lambda text: Markup(
            escape(printable(text)).replace(".", Markup(".<wbr>")).replace("_", Markup("_<wbr>"))
        ),
        # Of this package's own making only: `style.as_svg` escapes what comes from elsewhere.
        "drawn": Markup,
    }
    return environment.get_template(template).render(context, version=importlib.metadata.version("qdistill"))


def _shown(value: Any) -> Any:
    """What a page shows of a value, before it is escaped for HTML: characters that are acted on are escaped too."""
    return printable(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value
