"""What the importers say of what they cannot read: where it is, why, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qdistill.errors import CircuitError


@dataclass(frozen=True)
class Place:
    """Where in a circuit of another framework something is.

    Args:
        number: which of the circuit's operations, counted from 0.
        names: the operation and what it was found in on the way down, as their framework writes them.
    """

    number: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.number}, {' inside '.join(reversed(self.names))}"

    def inside(self, name: str) -> Place:
        """A part of what is here."""
        return self if name == self.names[-1] else Place(self.number, (*self.names, name))


def angle_refused(place: Place, reason: str) -> CircuitError:
    """The error for an angle that is no polynomial.

    Args:
        place: whose angle it is.
        reason: what it is computed with.
    """
    return CircuitError(
        f"Operation {place}, must have angles that are polynomials in weights and features, such as 2 * w * x + 0.1, "
        f"but one of them is computed with {reason}. Compute such a number in the network, and read it as a feature."
    )


def gate_refused(place: Place, known: Iterable[str], way_out: str, why: str = "") -> CircuitError:
    """The error for a gate that cannot be read.

    Args:
        place: which gate.
        known: the names that would have been accepted.
        way_out: what to do, as a sentence.
        why: what the framework said against taking it apart, if anything.
    """
    return CircuitError(
        f"Operation {place}, cannot be imported{why and f' ({why})'}. {way_out} The gates that can are "
        f"{', '.join(sorted(known))}, and what the framework itself takes apart into them."
    )


def measurement_refused(place: Place) -> CircuitError:
    """The error for a measurement before the end, a reset, or what depends on one."""
    return CircuitError(
        f"Operation {place}, is a measurement or reset before the end of its qubit, or depends on one: a circuit here "
        "is unitary, and what is measured at its end is the layer's observable. Leave it out."
    )


def state_refused(place: Place) -> CircuitError:
    """The error for a preparation of a state."""
    return CircuitError(f"Operation {place}, sets a state. Leave it out, and choose the layer's embedding instead.")
