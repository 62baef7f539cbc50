"""What is learned: how many synthetic examples, with which labels, and where they start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from qdistill.distill.start import Start
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields


@dataclass(frozen=True)
class Compression:
    """What is learned, and where it starts.

    Args:
        per_class: synthetic examples of each class, over all steps.
        examples: how many in all, in place of so many of each class: any number. The classes take turns; where there
            are fewer examples than classes, each starts with a label that is shared out among several.
        inputs: ``"learned"``, or ``"fixed"`` as they start: with real inputs that is the reference that distillation
            must beat.
        labels: ``"learned"`` labels are free vectors that start as one-hot ones; ``"fixed"`` stay one-hot.
        start: inputs drawn from N(0, 1), or real ones of the training part: drawn, or picked as
            `distill.start.initial_inputs` says.
        step_size: where every learned step size starts.
    """

    per_class: int = 1
    examples: int | None = None
    inputs: Literal["learned", "fixed"] = "learned"
    labels: Literal["learned", "fixed"] = "learned"
    start: Start = "noise"
    step_size: float = 0.02

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.per_class < 1:
            raise ArgumentError(f"Argument `per_class` must be at least 1, but was {self.per_class}.")
        if self.examples is not None and self.examples < 1:
            raise ArgumentError(f"Argument `examples` must be at least 1, but was {self.examples}.")
        if self.step_size <= 0:
            raise ArgumentError(f"Argument `step_size` must be above 0, but was {self.step_size}.")

    def n_examples(self, n_classes: int) -> int:
        """How many examples there are in all.

        Raises:
            ArgumentError: fewer than classes, with labels that could not stand for several.
        """
        if self.examples is None:
            return self.per_class * n_classes
        if self.examples < n_classes and self.labels == "fixed":
            raise ArgumentError(
                f"Argument `labels` must be 'learned' where there are fewer examples than classes, {self.examples} for "
                f"{n_classes}, but was 'fixed'."
            )
        return self.examples

    def first_labels(self, n_classes: int) -> Float[np.ndarray, "n classes"]:
        """The labels before the first iteration: one-hot, or shared out evenly among the classes that take turns."""
        n = self.n_examples(n_classes)
        places, classes = np.arange(max(n, n_classes)) % n, np.arange(max(n, n_classes)) % n_classes
        labels: Float[np.ndarray, "n classes"] = np.zeros((n, n_classes), np.float32)
        labels[places, classes] = 1.0
        labels /= labels.sum(axis=1, keepdims=True)
        return labels

    @property
    def fixed(self) -> tuple[str, ...]:
        """The parts of `Learned` that stay as they start."""
        return tuple(name for name in ("inputs", "labels") if getattr(self, name) == "fixed")
