"""What models refuse alike: inputs of another shape than they were built for, and more classes than they tell apart."""

from __future__ import annotations

import math

from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.numbers import Numbers, real

MOST_QUBITS = 1024
"""Far more than can be simulated; a larger power of two would only take time to be refused."""


def one_input(x: Numbers, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """One input, as it is computed with.

    Args:
        x: what was given.
        shape: what the model was built for.

    Raises:
        ArgumentError: no real numbers, or of another shape.
    """
    x = real("x", x)
    if x.shape != shape:
        raise ArgumentError(
            f"Argument `x` must be one input of shape {shape}, but had shape {x.shape}. "
            "`qdistill.models.predict` takes many."
        )
    return x


def count_inputs(input_shape: tuple[int, ...], least: int, most: int | None, why: str) -> int:
    """How many numbers an input has.

    Args:
        input_shape: of one input.
        least: that the model takes.
        most: likewise; None for any number.
        why: where the limits come from, for the error.

    Raises:
        ArgumentError: fewer or more.
    """
    count = math.prod(input_shape)
    if count < least or (most is not None and count > most):
        numbers = f"at least {least}" if most is None else f"{least}" if most == least else f"from {least} to {most}"
        raise ArgumentError(
            f"Argument `input_shape` must be of {numbers} numbers {why}, but was {tuple(input_shape)}, which is "
            f"{count}. `transforms` such as a PCA give inputs of another length."
        )
    return count


def check_n_classes(n_classes: int, most: int | None = None, why: str = "") -> None:
    """Make sure that the readout tells that many classes apart.

    Args:
        n_classes: of the data.
        most: that there can be, at least 2; None for any number.
        why: where that comes from, for the error.

    Raises:
        ArgumentError: more classes, or fewer than two.
    """
    if n_classes < 2 or (most is not None and n_classes > most):
        numbers = "at least 2" if most is None else f"2 {why}" if most == 2 else f"from 2 to {most} {why}"
        raise ArgumentError(f"Argument `n_classes` must be {numbers}, but was {n_classes}.")


def at_least_one(**counts: int | None) -> None:
    """Raise an ArgumentError that names the first of these counts that is below 1; None is none."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ArgumentError(f"Argument `{name}` must be at least 1, but was {count}.")


def not_zero(**factors: float | None) -> None:
    """Raise an ArgumentError that names the first of these factors of the logits that is 0; None is none."""
    for name, factor in factors.items():
        if factor == 0:
            raise ArgumentError(f"Argument `{name}` must not be 0, for all logits would be.")


def check_power_of_two(n_qubits: int) -> None:
    """Raise an ArgumentError where that is no power of two, or more wires than anyone has."""
    at_least_one(n_qubits=n_qubits)
    if n_qubits.bit_count() != 1 or n_qubits > MOST_QUBITS:
        raise ArgumentError(
            f"Argument `n_qubits` must be a power of two of at most {MOST_QUBITS}, for half of the wires stay after "
            f"each layer, but was {n_qubits}."
        )
