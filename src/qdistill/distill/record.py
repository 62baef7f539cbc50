"""What was measured of a bundle: the accuracy of its replay, and how much of that hangs on rounding."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import Any

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields

_ROUNDING = 1e-6
"""Of means in float32."""


@dataclass(frozen=True)
class Record:
    """What a replay was measured to give.

    Args:
        test_accuracy: share of the test inputs classified right, in [0, 1]; None where it was not measured. For unknown
            initial weights it is the mean over networks from unseen draws.
        n_test: how many test inputs that were.
        validation_accuracy: the same on the validation inputs, by which the data was chosen.
        n_validation: how many validation inputs that were.
        test_draws: the test accuracy of each of those networks; none for known initial weights.
        validation_draws: the same on the validation inputs, of the networks that the run looked at.
    """

    test_accuracy: float | None = None
    n_test: int | None = None
    validation_accuracy: float | None = None
    n_validation: int | None = None
    test_draws: tuple[float, ...] = ()
    validation_draws: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that every accuracy is a fraction, comes with its number of inputs, and is the mean of its draws."""
        check_fields(self)
        for part in ("test", "validation"):
            accuracy, n = getattr(self, f"{part}_accuracy"), getattr(self, f"n_{part}")
            if accuracy is not None:
                _check_fraction(f"{part}_accuracy", accuracy)
            if n is not None and n < 1:
                raise ArgumentError(f"Argument `n_{part}` must be at least 1, but was {n}.")
            if accuracy is not None and n is None:
                raise ArgumentError(f"Argument `n_{part}` must be given with `{part}_accuracy`, but was None.")
            draws = getattr(self, f"{part}_draws")
            for draw in draws:
                _check_fraction(f"{part}_draws", draw)
            if draws and (accuracy is None or abs(statistics.fmean(draws) - accuracy) > _ROUNDING):
                raise ArgumentError(
                    f"Argument `{part}_accuracy` must be the mean of `{part}_draws`, {statistics.fmean(draws):.6f}, "
                    f"but was {accuracy}."
                )

    def to_json(self) -> dict[str, Any]:
        """As plain data, without draws where there are none."""
        plain = dataclasses.asdict(self)
        return {name: value for name, value in plain.items() if value or not name.endswith("draws")}


@dataclass(frozen=True)
class Rerun:
    """One replay beside that of the record, on the same real inputs.

    Args:
        accuracy: share of the inputs classified right.
        changed: how many inputs it gives another class than the record's replay does.
    """

    accuracy: float
    changed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_fraction("accuracy", self.accuracy)
        if self.changed < 0:
            raise ArgumentError(f"Argument `changed` must be at least 0, but was {self.changed}.")


@dataclass(frozen=True)
class Rounding:
    """How much a replay hangs on rounding: see `qdistill.evaluate.rounding`.

    Args:
        n: how many real inputs were classified.
        accuracy: of the float32 replay, as in the record.
        float64: the replay in float64.
        perturbed: replays in float32 from inputs with noise of the size of float32's rounding.
    """

    n: int
    accuracy: float
    float64: Rerun
    perturbed: tuple[Rerun, ...]

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.n < 1:
            raise ArgumentError(f"Argument `n` must be at least 1, but was {self.n}.")
        _check_fraction("accuracy", self.accuracy)
        for rerun in self.reruns:
            if rerun.changed > self.n:
                raise ArgumentError(f"Argument `changed` must be at most the {self.n} inputs, but was {rerun.changed}.")

    @property
    def reruns(self) -> tuple[Rerun, ...]:
        """All of them."""
        return (self.float64, *self.perturbed)

    @property
    def most_changed(self) -> int:
        """The most inputs that any of them classifies otherwise."""
        return max(rerun.changed for rerun in self.reruns)


@dataclass(frozen=True)
class RoundingCheck:
    """A bundle's `Rounding` on each part that it was measured on; None where it was not.

    Args:
        validation: on the validation part, which choices may be made by.
        test: on the test part.
    """

    validation: Rounding | None = None
    test: Rounding | None = None


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ArgumentError(f"Argument `{name}` must be a fraction in [0, 1], but was {value}.")
