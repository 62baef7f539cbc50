"""What an engine is: it runs many units somewhere, each to its end or until it fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from qdistill.errors import DivergenceError, FailedRunsError
from qdistill.experiments.engines.unit import Failure, Unit

State = Literal["queued", "running", "done", "failed", "left"]
"""Of a unit; what is left goes on, or may be gone on with, without this process."""

Choice = Literal["stop", "wait", "leave"]
"""What is done after Ctrl-C: begin no more, and stop or wait for what runs; or leave all, what is queued too."""


@runtime_checkable
class Source(Protocol):
    """Gives units one after another, by what has become of those before, as a search does."""

    def next(self) -> Sequence[Unit]:
        """Units to begin now; none where what runs is waited for, or where nothing is left to do."""
        ...

    def ended(self, unit: Unit, failure: Failure | None) -> None:
        """A unit has ended, or failed."""
        ...

    def in_words(self) -> str:
        """How far it is, for the screen."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Runs units, each in its folder, from where that stands to the end.

    One unit's failure does not end the others. Ctrl-C leaves every folder as something to go on from.
    """

    def run(self, units: Sequence[Unit]) -> None:
        """Run units.

        Raises:
            FailedRunsError, DivergenceError: some failed, after all others have ended; the error names each with its
                log. One that failed alone raises its own error.
            KeyboardInterrupt: it was stopped.
        """
        ...

    def follow(self, source: Source) -> None:
        """Run the units of a source, so many at once as there is room for; it is told how each of them ends.

        Raises:
            KeyboardInterrupt: it was stopped.
        """
        ...


@dataclass(frozen=True)
class Change:
    """What has become of a unit; why it failed, if it has; and a word on it."""

    unit: Unit
    state: State
    failure: Failure | None = None
    remark: str = ""


@runtime_checkable
class Workers(Protocol):
    """Where units run side by side, away from this process; `drive` makes an engine of it."""

    place: str
    """Where that is, such as "2 processes here"."""

    @property
    def at_once(self) -> int:
        """How many units there is room for."""
        ...

    choices: Mapping[Choice, str]
    """What can be done after Ctrl-C, in words, the first by default."""

    def submit(self, units: Sequence[Unit]) -> None:
        """Take units into the queue, in their order."""
        ...

    def look(self) -> Iterable[Change]:
        """What has changed since the last look; begins what there is room for."""
        ...

    def hold_back(self) -> Sequence[Unit]:
        """Begin no more; the units that were not begun."""
        ...

    def stop(self) -> None:
        """End what runs, so that it can be gone on with, and wait until it has ended.

        Raises:
            RunError: it did not end.
        """
        ...

    def close(self) -> None:
        """Give back what was taken; running units go on only where that was chosen."""
        ...


def raise_failures(failures: Mapping[Unit, Failure], n_units: int) -> None:
    """Raise what went wrong with units, if anything.

    Args:
        failures: by unit.
        n_units: how many units there were in all.

    Raises:
        DivergenceError: nothing but that.
        FailedRunsError: of several kinds; of one unit alone the error is its own.
    """
    if not failures:
        return
    found = {unit: failure.error(unit) for unit, failure in failures.items()}
    if n_units == 1:
        raise next(iter(found.values()))
    lines = "\n".join(_in_lines(failures))
    if all(isinstance(error, DivergenceError) for error in found.values()):
        raise DivergenceError(lines)
    raise FailedRunsError(f"{len(found)} of {n_units} runs failed; all others have ended.\n{lines}")


_NAMED = 5
"""Runs that failed alike and are named with their logs; of more only the number is said."""


def _in_lines(failures: Mapping[Unit, Failure]) -> Iterator[str]:
    """What went wrong, once for all units that failed alike."""
    alike: dict[Failure, list[Unit]] = {}
    for unit, failure in failures.items():
        alike.setdefault(failure, []).append(unit)
    for failure, units in alike.items():
        more = f" and {len(units) - _NAMED} more" if len(units) > _NAMED else ""
        logs = [str(unit.log) for unit in units[:_NAMED] if unit.log.exists()]
        said = f" Logs: {', '.join(logs)}." if logs else ""
        yield f"{', '.join(unit.name for unit in units[:_NAMED])}{more}: {failure.message}{said}"
