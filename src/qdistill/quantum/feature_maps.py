"""Feature maps: circuits that read features alone, so that each feature vector has a state.

A circuit of one's own is a feature map just as well: these are the ones that the field's kernels use by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from qdistill.errors import CircuitError
from qdistill.quantum.angle import Angle, feature
from qdistill.quantum.bounds import check_operations, check_wires
from qdistill.quantum.circuit import Circuit, Operation


def iqp_feature_map(n_features: int, repeats: int = 2) -> Circuit:
    """Hadamard gates, then the phases x_i Z_i / 2 and x_i x_j Z_i Z_j / 2 of wires and pairs, some times over.

    Args:
        n_features: one a wire.
        repeats: how often.

    Raises:
        CircuitError: no wire or no repetition, or more of them than a circuit may have.

    Reference:
        Havlicek et al., arXiv 1804.11326; the angles are those of PennyLane's ``IQPEmbedding``, which
        XanaduAI/qml-benchmarks uses in its IQP kernel.
    """
    return _diagonal(n_features, repeats, feature, lambda i, j: feature(i) * feature(j))


def zz_feature_map(n_features: int, repeats: int = 2) -> Circuit:
    """Hadamard gates, then the phases x_i Z_i and (pi - x_i) (pi - x_j) Z_i Z_j of wires and pairs, some times over.

    Args:
        n_features: one a wire.
        repeats: how often.

    Raises:
        CircuitError: no wire or no repetition, or more of them than a circuit may have.

    Reference:
        Havlicek et al., arXiv 1804.11326; up to a global phase it is Qiskit's ``zz_feature_map``.
    """
    return _diagonal(
        n_features, repeats, lambda i: 2 * feature(i), lambda i, j: 2 * (math.pi - feature(i)) * (math.pi - feature(j))
    )


def _diagonal(
    n_wires: int, repeats: int, of_one: Callable[[int], Angle], of_two: Callable[[int, int], Angle]
) -> Circuit:
    check_wires(n_wires)
    if repeats < 1:
        raise CircuitError(f"Argument `repeats` must be at least 1, but was {repeats}.")
    count = repeats * (2 * n_wires + 3 * math.comb(n_wires, 2))
    check_operations(count, f"a feature map of {n_wires:,} wires and {repeats:,} repetitions")
    once = [Operation("H", (wire,)) for wire in range(n_wires)]
    once += [Operation("RZ", (wire,), (of_one(wire),)) for wire in range(n_wires)]
    for i, j in itertools.combinations(range(n_wires), 2):
        entangler = Operation("CNOT", (i, j))
        once += [entangler, Operation("RZ", (j,), (of_two(i, j),)), entangler]
    return Circuit(n_wires, tuple(once * repeats))
