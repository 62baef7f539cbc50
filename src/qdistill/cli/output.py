"""How the command line prints: the one place where text from files meets a terminal.

Results go to standard output and everything else to standard error. Of a text from elsewhere nothing is acted on, be it
an escape sequence, an emoji's name between colons or the markup of rich.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qdistill.text import printable

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST = 10_000
"""Characters of one line; what is longer is no text for people."""


@contextlib.contextmanager
def to_standard_output() -> Iterator[None]:
    """Write what is printed within, and end the program with a word on it where that cannot be done.

    Raises:
        SystemExit: standard output cannot be written.
    """
    try:
        yield
        # A program that was started without any has None.
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        print_no_more()
        # Whoever reads the output, such as `head`, may have read enough.
        if not isinstance(error, BrokenPipeError):
            say(f"error: Cannot write to standard output: {error.strerror}.")
        raise SystemExit(1) from error


def print_no_more() -> None:
    """Let what is printed vanish; Python fails once more when it flushes a broken output at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(*lines: object) -> None:
    """Print lines of a result, at once."""
    with to_standard_output():
        for line in lines:
            print(printable(line, _LONGEST), flush=True)


def tell_json(value: Any) -> None:
    """Print a result as one JSON object; a number that is not finite, which JSON does not know, is null in it."""
    with to_standard_output():
        print(json.dumps(_finite(value), allow_nan=False))


def say(line: object) -> None:
    """Tell the user something that is not the result."""
    # Where that cannot be written there is nobody to tell.
    with contextlib.suppress(OSError):
        for part in str(line).splitlines() or [""]:
            print(printable(part, _LONGEST), file=sys.stderr)


def tell_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, as wide as the terminal."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", max_width=24, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(printable(name), printable(value))
    with to_standard_output():
        plain_console().print(table)


def plain_console(*, stderr: bool = False) -> Console:
    """A console of rich's that shows text as it is."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def encode_whatever_comes() -> None:
    """Let standard output write an escape for what its encoding lacks, instead of failing; standard error does so."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _finite(value: Any) -> Any:
    """The same plain data with None for every number that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
