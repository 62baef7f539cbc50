"""Text from elsewhere, made fit to be shown in a terminal, in a picture or on a page.

Class names, provenance, names of devices and of rate cards come out of files that strangers wrote. Shown as they are
they could move the cursor, hide what stands before them, or be taken for several lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

_ACTED_ON = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
"""Unicode's categories of what is acted on, not shown: controls, formats, halves of surrogate pairs, what is no
character, and line ends."""

_JOINERS = "\u200c\u200d"
"""Formats that belong to words of Persian or Hindi, and to emoji."""


def printable(text: object, most: int | None = None, *, keep: str = "") -> str:
    r"""Text with an escape, such as ``\x1b``, for every character that is acted on instead of shown.

    Letters of all scripts, spaces and emoji stay.

    Args:
        text: anything; its `str` is taken.
        most: characters that are shown; what is longer ends in an ellipsis.
        keep: characters that stay although they are acted on, such as line ends.
    """
    text = str(text)
    # First, for the text may be as large as a file.
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    if not text.isprintable():
        text = "".join(_shown(character, keep) for character in text)
    # An escape is longer than what it stands for.
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def listed(items: Collection[object], most: int = 20) -> str:
    """Items with commas between them, and how many more there are than are shown."""
    shown = [printable(item, 60) for item, _ in zip(items, range(most), strict=False)]
    more = len(items) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _shown(character: str, keep: str) -> str:
    if unicodedata.category(character) not in _ACTED_ON or character in _JOINERS or character in keep:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
