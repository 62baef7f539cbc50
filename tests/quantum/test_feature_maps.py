"""Feature maps beside those of PennyLane and Qiskit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pennylane as qml
import pytest
from qiskit.circuit.library import zz_feature_map as qiskit_zz
from qiskit.quantum_info import Statevector

from qdistill.errors import CircuitError
from qdistill.quantum import Circuit, iqp_feature_map, zz_feature_map

from .reference import numpy_unitary


def state_of(circuit: Circuit, features: np.ndarray) -> np.ndarray:
    """In double precision, gate by gate."""
    state: np.ndarray = numpy_unitary(circuit, np.zeros(0), features)[:, 0]
    return state


@pytest.mark.parametrize(("n", "repeats"), [(1, 1), (2, 2), (4, 2), (3, 3)])
def test_the_iqp_map_is_pennylanes(n: int, repeats: int) -> None:
    features = np.random.default_rng(n).uniform(-2, 2, n)

    @qml.qnode(qml.device("default.qubit", wires=n))
    def pennylane() -> qml.typing.TensorLike:
        qml.IQPEmbedding(features, range(n), n_repeats=repeats)
        return qml.state()

    np.testing.assert_allclose(state_of(iqp_feature_map(n, repeats), features), pennylane(), atol=1e-12)


@pytest.mark.parametrize(("n", "repeats"), [(2, 1), (2, 2), (4, 2), (3, 3)])
def test_the_zz_map_is_qiskits(n: int, repeats: int) -> None:
    features = np.random.default_rng(n).uniform(0, 2, n)
    qiskit = np.asarray(Statevector(qiskit_zz(n, repeats).assign_parameters(features)).reverse_qargs())
    overlap = np.vdot(qiskit, state_of(zz_feature_map(n, repeats), features))
    assert abs(overlap) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("make", [iqp_feature_map, zz_feature_map])
def test_sizes_without_meaning_are_refused(make: Callable[..., Circuit]) -> None:
    with pytest.raises(CircuitError, match="Argument `repeats` must be at least 1, but was 0"):
        make(2, 0)
    with pytest.raises(CircuitError, match="Argument `n_wires` must be at least 1"):
        make(0)
    with pytest.raises(CircuitError, match="must have at most"):
        make(5000)
