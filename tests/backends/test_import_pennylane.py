"""Circuits of PennyLane that are taken apart, compared with PennyLane's own matrices in double precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.backends.from_pennylane import from_pennylane
from qdistill.errors import QDistillError
from qdistill.quantum import Operation

from ..quantum.reference import numpy_unitary
from ..quantum.strategies import examples
from .test_import import same_up_to_phase

N_WEIGHTS, N_FEATURES, N_WIRES = 12, 2, 4


def random_unitary(size: int) -> np.ndarray:
    generator = np.random.default_rng(size)
    return np.linalg.qr(generator.normal(size=(size, size)) + 1j * generator.normal(size=(size, size)))[0]


def pair(weights: Any, wires: Any) -> None:
    qml.RX(weights[0], wires[0])
    qml.RY(weights[1], wires[1])
    qml.CNOT(wires)


ONES = np.array([1, 1, 0, 0])
HAMILTONIAN = qml.Hamiltonian([0.3, -0.7], [qml.Z(0) @ qml.X(1), qml.Y(2)])

CIRCUITS: dict[str, Callable[[Any, Any], Any]] = {
    # controls
    "RX": lambda w, x: qml.ctrl(qml.RX(w[0], 0), [1]),
    "RX under three": lambda w, x: qml.ctrl(qml.RX(w[0], 0), [1, 2, 3], control_values=[1, 0, 1]),
    "PhaseShift under two": lambda w, x: qml.ctrl(qml.PhaseShift(w[0] * x[0], 0), [1, 2], control_values=[0, 1]),
    "Rot under three": lambda w, x: qml.ctrl(qml.Rot(w[0], w[1], x[0], 0), [1, 2, 3]),
    "CRot": lambda w, x: qml.CRot(w[0], w[1], x[0], [0, 1]),
    "Rot": lambda w, x: qml.ctrl(qml.Rot(w[0], w[1] + x[0], x[0], 0), [1]),
    "U3 under two": lambda w, x: qml.ctrl(qml.U3(w[0], w[1], x[0], 0), [1, 2]),
    "a global phase under two": lambda w, x: qml.ctrl(qml.GlobalPhase(w[0] * x[1]), [1, 2]),
    "PauliRot": lambda w, x: qml.ctrl(qml.PauliRot(w[0], "XYZ", [0, 1, 2]), [3]),
    "MultiRZ": lambda w, x: qml.ctrl(qml.MultiRZ(w[0], [0, 1]), [2]),
    "SingleExcitation": lambda w, x: qml.ctrl(qml.SingleExcitation(w[0], [0, 1]), [2]),
    "layers": lambda w, x: qml.ctrl(qml.StronglyEntanglingLayers(w.reshape(2, 2, 3), wires=[0, 1]), [3]),
    "a Fourier transform": lambda w, x: qml.ctrl(qml.QFT([0, 1, 2]), [3]),
    "a matrix": lambda w, x: qml.ctrl(qml.QubitUnitary(random_unitary(4), [0, 2]), [1]),
    "a matrix under two": lambda w, x: qml.ControlledQubitUnitary(random_unitary(4), wires=[3, 1, 0, 2]),
    "a diagonal": lambda w, x: qml.ctrl(qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), [0, 2]), [1]),
    "a root": lambda w, x: qml.ctrl(qml.pow(qml.X(0), 0.3), [2]),
    "a product": lambda w, x: qml.ctrl(qml.prod(qml.X(0), qml.RX(w[0], 1), qml.S(0)), [2]),
    "nested": lambda w, x: qml.adjoint(qml.ctrl(qml.adjoint(qml.ctrl(qml.T(0), [1])), [2])),
    "nested with angles": lambda w, x: qml.ctrl(qml.adjoint(qml.ctrl(qml.RX(w[0], 3), 0)), [1], control_values=[0]),
    "MultiControlledX": lambda w, x: qml.MultiControlledX([0, 1, 2, 3], control_values=[1, 0, 1]),
    # powers and inverses
    "X**0.3": lambda w, x: qml.pow(qml.X(0), 0.3),
    "SWAP**0.5": lambda w, x: qml.pow(qml.SWAP([0, 1]), 0.5),
    "CNOT**0.25": lambda w, x: qml.pow(qml.CNOT([0, 1]), 0.25),
    "S**-3": lambda w, x: qml.pow(qml.S(0), -3),
    "RX**0.5": lambda w, x: qml.pow(qml.RX(w[0], 0), 0.5),
    "Rot**-2": lambda w, x: qml.pow(qml.Rot(w[0], w[1], w[2], 0), -2),
    "inverse layers": lambda w, x: qml.adjoint(qml.StronglyEntanglingLayers)(w.reshape(2, 2, 3), wires=[0, 1]),
    "a conjugation": lambda w, x: qml.prod(qml.H(0), qml.RZ(w[0], 0), qml.H(0)),
    # matrices
    "a matrix on two": lambda w, x: qml.QubitUnitary(random_unitary(4), [0, 2]),
    "a matrix on three": lambda w, x: qml.QubitUnitary(random_unitary(8), [0, 2, 1]),
    "BlockEncode": lambda w, x: qml.BlockEncode([[0.3]], [0]),
    "PCPhase": lambda w, x: qml.PCPhase(0.2, 3, [0, 1]),
    # states and templates that contain one
    "BasisState": lambda w, x: (qml.BasisState(np.array([1, 0, 1]), [0, 1, 3]), qml.RX(w[0], 0)),
    "BasisEmbedding": lambda w, x: qml.BasisEmbedding(5, [0, 1, 3]),
    "UCCSD": lambda w, x: qml.UCCSD(
        w[:3], range(4), s_wires=[[0, 1, 2], [1, 2, 3]], d_wires=[[[0, 1], [2, 3]]], init_state=ONES
    ),
    "AllSinglesDoubles": lambda w, x: qml.AllSinglesDoubles(
        w[:2], range(4), hf_state=ONES, singles=[[0, 2]], doubles=[[0, 1, 2, 3]]
    ),
    "kUpCCGSD": lambda w, x: qml.kUpCCGSD(w[:6].reshape(1, 6), range(4), k=1, init_state=ONES),
    "GateFabric": lambda w, x: qml.GateFabric(w[:2].reshape(1, 1, 2), range(4), init_state=ONES),
    "ParticleConservingU1": lambda w, x: qml.ParticleConservingU1(w[:6].reshape(1, 3, 2), range(4), init_state=ONES),
    "ParticleConservingU2": lambda w, x: qml.ParticleConservingU2(w[:7].reshape(1, 7), range(4), init_state=ONES),
    "MottonenStatePreparation": lambda w, x: qml.MottonenStatePreparation(np.ones(4) / 2, [0, 1]),
    # embeddings and layers
    "AngleEmbedding": lambda w, x: qml.AngleEmbedding(x, [0, 1], rotation="Y"),
    "IQPEmbedding": lambda w, x: qml.IQPEmbedding(x, [0, 1], n_repeats=2),
    "QAOAEmbedding": lambda w, x: qml.QAOAEmbedding(x, w[:3].reshape(1, 3), [0, 1]),
    "BasicEntanglerLayers": lambda w, x: qml.BasicEntanglerLayers(w.reshape(3, 4), range(4), rotation=qml.RY),
    "SimplifiedTwoDesign": lambda w, x: qml.SimplifiedTwoDesign(w[:2], w[2:6].reshape(2, 1, 2), [0, 1]),
    "RandomLayers": lambda w, x: qml.RandomLayers(w.reshape(2, 6), range(3), seed=1),
    "TTN": lambda w, x: qml.TTN(range(4), 2, pair, 2, template_weights=w[:6].reshape(3, 2)),
    "MERA": lambda w, x: qml.MERA(range(4), 2, pair, 2, template_weights=w[:10].reshape(5, 2)),
    "ArbitraryUnitary": lambda w, x: qml.ArbitraryUnitary(w[np.array([*range(12), 0, 1, 2])], [0, 1]),
    # gates
    "PauliRot on three": lambda w, x: qml.PauliRot(w[0], "XYZ", [0, 1, 2]),
    "DoubleExcitation": lambda w, x: qml.DoubleExcitation(w[0], range(4)),
    "FermionicSingleExcitation": lambda w, x: qml.FermionicSingleExcitation(w[0], [0, 1, 2]),
    "OrbitalRotation": lambda w, x: qml.OrbitalRotation(w[0], range(4)),
    "FermionicSWAP": lambda w, x: qml.FermionicSWAP(w[0], [0, 1]),
    "IsingXY": lambda w, x: qml.IsingXY(w[0], [0, 1]),
    "ECR": lambda w, x: qml.ECR([0, 1]),
    "SelectPauliRot": lambda w, x: qml.SelectPauliRot(w[:4], [0, 1], 2),
    # evolutions, and constants of complex numbers on the way
    "evolve": lambda w, x: qml.evolve(qml.X(0) @ qml.Z(1), w[0]),
    "exp": lambda w, x: qml.exp(qml.X(0) @ qml.Z(1), -1j * w[0]),
    "a constant exp": lambda w, x: qml.exp(qml.X(0) @ qml.Z(1), -0.3j),
    "ApproxTimeEvolution": lambda w, x: qml.ApproxTimeEvolution(HAMILTONIAN, w[0], 2),
    "TrotterProduct": lambda w, x: qml.TrotterProduct(HAMILTONIAN, w[0], n=2),
    "CommutingEvolution": lambda w, x: qml.CommutingEvolution(
        qml.Hamiltonian([1.0, 1.0], [qml.Z(0), qml.Z(1) @ qml.Z(0)]), w[0]
    ),
    # algorithms
    "QFT": lambda w, x: qml.QFT(range(3)),
    "GroverOperator": lambda w, x: qml.GroverOperator(range(4)),
    "QuantumPhaseEstimation": lambda w, x: qml.QuantumPhaseEstimation(
        qml.PhaseShift(w[0], 0), estimation_wires=[1, 2]
    ),
    "Permute": lambda w, x: qml.Permute([1, 2, 0], [0, 1, 2]),
    "Select": lambda w, x: qml.Select([qml.X(2), qml.RY(w[0], 2)], control=[0]),
    "FlipSign": lambda w, x: qml.FlipSign([1, 0], [0, 1]),
    "Reflection": lambda w, x: qml.Reflection(qml.Hadamard(0), 0.3),
    "QSVT": lambda w, x: qml.QSVT(qml.BlockEncode([[0.3]], [0]), [qml.PCPhase(0.2, 1, [0])]),
    # Python around it
    "a constant condition": lambda w, x: qml.cond(True, qml.RX)(w[0], 0),
    "a loop of PennyLane's": lambda w, x: qml.for_loop(0, 3, 1)(lambda i: [qml.RX(w[i], i), None][1])(),
    "a sum in every angle": lambda w, x: [qml.RX(w[: i + 1].sum() - x @ x, i) for i in range(4)],
}  # fmt: skip


@pytest.mark.parametrize("case", CIRCUITS)
@pytest.mark.filterwarnings("ignore")
def test_what_pennylane_takes_apart(case: str) -> None:
    function = CIRCUITS[case]
    generator = np.random.default_rng(0)
    weights, features = generator.normal(size=N_WEIGHTS), generator.normal(size=N_FEATURES)
    circuit = from_pennylane(function, N_WIRES, weight_shape=(N_WEIGHTS,), n_features=N_FEATURES)
    with qml.queuing.AnnotatedQueue() as queue:
        function(weights, features)
    expected = qml.matrix(qml.tape.QuantumScript.from_queue(queue), wire_order=range(N_WIRES))
    same_up_to_phase(numpy_unitary(circuit, weights, features), expected)


def test_a_gate_of_the_users_own_with_a_standard_name_is_not_mistaken() -> None:
    class RX(qml.operation.Operation):  # type: ignore[misc, name-defined]
        num_wires = 1
        num_params = 0

        @staticmethod
        def compute_decomposition(wires: Any) -> list[Any]:
            return [qml.X(wires)]

    assert from_pennylane(lambda w: RX(wires=0), 1, weight_shape=0).operations == (Operation("X", (0,)),)


@pytest.mark.parametrize("name", ["Barrier", "Identity", "Snapshot", "PauliMeasure", "StatePrep", "GlobalPhase"])
def test_gates_of_ones_own_with_any_name(name: str) -> None:
    def decomposition(wires: Any) -> list[Any]:
        return [qml.X(wires)]

    own = type(
        name,
        (qml.operation.Operation,),
        {"num_wires": 1, "num_params": 0, "compute_decomposition": staticmethod(decomposition)},
    )
    assert from_pennylane(lambda w: own(wires=0), 1, weight_shape=0).operations == (Operation("X", (0,)),)


def test_more_operations_than_a_circuit_may_have() -> None:
    with pytest.raises(QDistillError, match="at most 262,144 operations"):
        from_pennylane(lambda w: qml.pow(qml.Rot(*w, wires=0), 10**12), 1, weight_shape=(3,))


def test_a_gate_that_is_a_part_of_itself() -> None:
    class Endless(qml.operation.Operation):  # type: ignore[misc, name-defined]
        num_wires = 1
        num_params = 0

        @staticmethod
        def compute_decomposition(wires: Any) -> list[Any]:
            return [Endless(wires=wires)]

    with pytest.raises(
        QDistillError,
        match=r"Endless on wires \[0\], cannot be imported \(PennyLane takes it apart without|so deeply nested",
    ):
        from_pennylane(lambda w: Endless(wires=0), 1, weight_shape=0)


STATEMENTS = st.sampled_from(
    [
        "qml.RX(w[0], 0)", "qml.RX(x, 0)", "qml.RX(w, 0)", "qml.RX('a', 0)", "qml.RX(None, 0)", "qml.RX(1j * w[0], 0)",
        "qml.RX(w[0] if w[0] > 0 else 1, 0)", "qml.RX(np.array(w)[0], 0)", "qml.RX(w[7], 0)", "qml.RX(w[0, 0], 0)",
        "qml.X(w[0])", "qml.X(None)", "qml.X(-1)", "qml.X([0, 1])", "qml.CNOT([0, 0])", "qml.X(np.int64(1))",
        "qml.X(True)",
        "qml.expval(qml.Z(0))", "qml.probs()", "qml.measure(0)", "qml.Hamiltonian([1.0], [qml.Z(0)])",
        "qml.Z(0) + qml.X(1)",
        "qml.QubitUnitary(w, 0)", "qml.QubitUnitary(np.eye(3), 0)", "qml.StronglyEntanglingLayers(w, [0, 1])",
        "qml.BasisState(x, [0])", "qml.ctrl(qml.RX(jnp.sin(w[0]), 0), 1)", "qml.pow(qml.X(0), w[0])", "w.sort()",
        "1 / 0",
        "qml.adjoint(qml.measure)(0)", "qml.ctrl(qml.X(0), 0)", "qml.RX(jnp.array([]), 0)", "qml.RX(torch.ones(1), 0)",
        "qml.RX(torch.ones(1, requires_grad=True), 0)", "qml.RX(qml.numpy.array(0.3), 0)", "qml.GlobalPhase(w[1])",
        "jax.jit(lambda v: qml.RX(v, 0))(w[0])", "qml.Snapshot()", "qml.Barrier()", "qml.Hermitian(np.eye(2), 0)",
        "raise_it(KeyError)", "raise_it(RecursionError)", "qml.RX(np.float32(0.5), 0)", "qml.RX([w[0]], 0)",
        "qml.RX(2**2000, 0)",
    ]
)  # fmt: skip


def raise_it(kind: type[Exception]) -> None:
    raise kind


@examples(40)
@given(st.lists(STATEMENTS, min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore")
def test_any_function_is_a_circuit_or_refused_with_a_reason(statements: list[str]) -> None:
    import jax.numpy as jnp
    import torch

    names = {"qml": qml, "np": np, "jnp": jnp, "jax": jax, "torch": torch, "raise_it": raise_it}

    def function(w: Any, x: Any) -> None:
        for statement in statements:
            eval(statement, names | {"w": w, "x": x})

    with contextlib.suppress(QDistillError):
        from_pennylane(function, 2, weight_shape=(2,), n_features=1)
