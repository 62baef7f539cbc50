"""How large circuits may be, and what simulating them takes: known from their sizes, before anything is made.

A state of n wires is 2^n complex amplitudes. Evaluated on B feature vectors, the gates on states read and write B of
them; a shared unitary is 4^n numbers instead. A gradient keeps, for each of M moments, the states before and after each
of its G groups of gates: from 4 to 14 wires XLA's own accounts are M (G + 1.5) to M (G + 3) times the states.
"""

from __future__ import annotations

from qdistill.errors import CircuitError
from qdistill.machine import check_memory

MOST_WIRES = 10_000
"""Of a circuit or a device: several times the largest that were announced."""

MOST_OPERATIONS = 2**18
"""Of a circuit: they are made in seconds. The preparation of the amplitudes of 17 wires has as many."""

MOST_TERMS = 2**18
"""Of an observable: the probabilities of all basis states of 9 wires have as many."""

ADVICE = "Use fewer wires, or fewer inputs at once."


def check_wires(n_wires: int, name: str = "n_wires") -> None:
    """Make sure that there is a wire, and that there are not too many.

    Args:
        n_wires: how many there are.
        name: what the caller calls them, for the error.

    Raises:
        CircuitError: there is none, or more than `MOST_WIRES`.
    """
    if n_wires < 1:
        raise CircuitError(f"Argument `{name}` must be at least 1, but was {n_wires}.")
    if n_wires > MOST_WIRES:
        raise CircuitError(f"Argument `{name}` must be at most {MOST_WIRES:,}, but was {n_wires:,}.")


def check_operations(count: int, what: str) -> None:
    """Make sure that a circuit is not too long.

    Args:
        count: its operations.
        what: what would have them, for the error.

    Raises:
        CircuitError: they are more than `MOST_OPERATIONS`.
    """
    if count > MOST_OPERATIONS:
        size = _counted(count)
        raise CircuitError(f"A circuit must have at most {MOST_OPERATIONS:,} operations, but {what} has {size}.")


def check_terms(count: int) -> None:
    """Make sure that an observable does not have too many Pauli strings.

    Raises:
        CircuitError: they are more than `MOST_TERMS`.
    """
    if count > MOST_TERMS:
        size = _counted(count)
        raise CircuitError(f"An observable must have at most {MOST_TERMS:,} Pauli strings, but this one has {size}.")


def _counted(count: int) -> str:
    """A number as text, that of one too large to be written out as a power of two."""
    return f"{count:,}" if count < 2**60 else f"about 2^{count.bit_length() - 1}"


def check_states(
    n_wires: int,
    batch: int = 1,
    *,
    moments: int = 0,
    measured: int = 0,
    precision: int = 4,
    gradient: bool = False,
) -> None:
    """Make sure that states can be kept in memory while gates are applied to them.

    Args:
        n_wires: n.
        batch: states at once.
        moments: M, of the circuit that is applied, with a table of 2^n entries each.
        measured: products of amplitudes that the measurement keeps for a gradient (`pauli_sums.n_products`).
        precision: bytes of a real number.
        gradient: whether derivatives are taken.

    Raises:
        ArgumentError: they cannot.
    """
    groups = -(-n_wires // 3)
    copies = max(2, moments * (groups + 1) + measured) if gradient else 2
    needed = (batch * copies * 2 * precision + moments * 4) << n_wires
    vectors = f" for {batch:,} vectors at once" if batch > 1 else ""
    what = f"The {'gradient of a' if gradient else ''} simulation of {n_wires:,} wires{vectors}".replace("  ", " ")
    check_memory(needed, what, ADVICE)


def check_matrices(n_wires: int, count: int = 1, batch: int = 1, *, precision: int = 4) -> None:
    """Make sure that matrices of 2^n x 2^n real numbers can be kept in memory.

    Args:
        n_wires: n.
        count: of matrices, for one of the batch.
        batch: how many have such matrices at once.
        precision: bytes of a real number.

    Raises:
        ArgumentError: they cannot.
    """
    each = f", for each of {batch:,} at once," if batch > 1 else ""
    check_memory((batch * count * precision) << 2 * n_wires, f"A matrix of {n_wires:,} wires{each}", ADVICE)
