"""Every exception that a user can meet, with the exit code that the command line gives it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def shown(value: object) -> str:
    """A value in an error: on one line, and no longer than anyone reads."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        return "an integer of thousands of digits"
    return text if len(text) <= 200 else f"{text[:80]}... ({len(text):,} characters)"


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """A sentence, with a blank before it, that suggests the known name which is like what was given; empty for none."""
    close = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    return f" Did you mean {close[0]!r}?" if close else ""


class QDistillError(Exception):
    """Base of all errors raised on purpose; the message says what was wrong and what to do."""

    exit_code: int = 1


class ArgumentError(QDistillError, ValueError):
    """An argument, option or recipe field has a value that it must not have."""

    exit_code = 2

    @classmethod
    def unknown(cls, name: str, value: object, known: Iterable[str]) -> ArgumentError:
        """Build the error for a value that is none of the `known` ones, with a suggestion.

        Args:
            name: the argument's name.
            value: what was given.
            known: the values that would have been accepted.
        """
        known = sorted(known)
        meant = did_you_mean(value, known)
        choices = ", ".join(known) if len(known) <= 16 else f"{len(known)} names from {known[0]} to {known[-1]}"
        if meant and len(known) > 8:
            # Before the list, where it is seen.
            return cls(f"Argument `{name}` must be a known name, but was {shown(value)}.{meant} Known are {choices}.")
        return cls(f"Argument `{name}` must be one of {choices}, but was {shown(value)}.{meant}")


class CircuitError(ArgumentError):
    """A circuit, gate or observable that has no meaning, such as a wire that does not exist."""


class DataError(QDistillError):
    """A dataset's files are missing, damaged, or not what their name says."""


class DownloadError(DataError):
    """A file could not be fetched, or what came was not the official file."""


class BundleError(QDistillError):
    """A bundle file is damaged, truncated, foreign, or does not fit what it is used with."""


class RunError(QDistillError):
    """A run folder cannot be created, read, written or resumed."""


class FailedRunsError(RunError):
    """Some of many runs failed; all others have ended."""


class DivergenceError(QDistillError):
    """A training is no longer finite, or a distillation had too many losses that were not."""


class MissingExtraError(QDistillError, ImportError):
    """An optional dependency is not installed, or is there in a version that does not fit."""
