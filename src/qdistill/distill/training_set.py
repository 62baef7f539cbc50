"""What a training reads: inputs with labels, the size of every step, and which of the inputs each step sees."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.errors import ArgumentError
from qdistill.numbers import integers, real_field


def _example_numbers(values: Any) -> Any:
    return values if isinstance(values, jax.ShapeDtypeStruct) else integers("schedule", values)


class TrainingSet(eqx.Module):
    """What a training reads: synthetic or real inputs with their labels and the size of every step.

    Args:
        inputs: normalised, (n, ...).
        labels: one vector an input, (n, classes): one-hot, or learned ("soft", of any sign and scale).
        step_sizes: positive, (T, groups), as `InnerLoop.step_sizes` says.
        schedule: example indices of each step, (T, examples a step).

    Raises:
        ArgumentError: no real numbers, a schedule of other than example numbers, or shapes that do not fit.
    """

    inputs: Float[Array, "n *shape"] = eqx.field(converter=real_field("inputs"))
    labels: Float[Array, "n classes"] = eqx.field(converter=real_field("labels"))
    step_sizes: Float[Array, "steps groups"] = eqx.field(converter=real_field("step_sizes"))
    schedule: Int[np.ndarray, "steps batch"] | Int[Array, "steps batch"] = eqx.field(converter=_example_numbers)

    def __check_init__(self) -> None:
        """Check what can be known of the shapes, and of example numbers that are at hand."""
        if self.inputs.ndim < 2:
            raise ArgumentError(
                f"Argument `inputs` must have an axis for the inputs and one at least for the numbers of each, but had "
                f"shape {self.inputs.shape}."
            )
        for name, axes in (("labels", 2), ("step_sizes", 2), ("schedule", 2)):
            if getattr(self, name).ndim != axes:
                raise ArgumentError(
                    f"Argument `{name}` must have {axes} axes, but had shape {getattr(self, name).shape}."
                )
        n = len(self.inputs)
        if len(self.labels) != n:
            raise ArgumentError(
                f"Argument `labels` must have a row for each of the {n} inputs, but had shape {self.labels.shape}."
            )
        # JAX takes the last input where a number is too large, without a word.
        known = isinstance(self.schedule, np.ndarray) and self.schedule.size
        if known and not 0 <= self.schedule.min() <= self.schedule.max() < n:
            raise ArgumentError(
                f"Argument `schedule` must be example numbers from 0 to {n - 1}, but reached from "
                f"{self.schedule.min()} to {self.schedule.max()}."
            )

    @property
    def one_hot_labels(self) -> Float[np.ndarray, "n classes"]:
        """1 for the class of the largest number of each label, and 0 for all others."""
        labels = np.asarray(self.labels)
        one_hot: np.ndarray = np.eye(labels.shape[1], dtype=labels.dtype)[labels.argmax(axis=1)]
        return one_hot

    def with_schedule(self, schedule: Int[np.ndarray, "steps batch"] | Int[Array, "steps batch"]) -> TrainingSet:
        """The same data in another order, or in one where only the other arrays are there."""
        changed: TrainingSet = eqx.tree_at(lambda d: d.schedule, self, schedule, is_leaf=lambda leaf: leaf is None)
        return changed
