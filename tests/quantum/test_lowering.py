"""How circuits become moments: what entanglers do to basis states, and that long circuits take little."""

from __future__ import annotations

import math
import random
import time
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qdistill.models import DataReuploading
from qdistill.quantum import Circuit, Operation, StronglyEntangling, apply, iqp_feature_map, unitary, weight
from qdistill.quantum.gates import GATES
from qdistill.quantum.lowering import _phases, lower
from qdistill.quantum.moments import moments_with, n_moments
from qdistill.quantum.simulate import angles_of

from .reference import numpy_unitary, random_angle
from .strategies import N_FEATURES, N_WEIGHTS, examples, vectors

N_WIRES = 4
ENTANGLERS = st.lists(
    st.tuples(st.sampled_from(["CNOT", "CZ", "SWAP"]), st.permutations(range(N_WIRES))), min_size=1, max_size=12
)


@given(gates=ENTANGLERS)
@examples(60)
def test_entanglers_are_one_signed_permutation(gates: list[tuple[str, list[int]]]) -> None:
    circuit = Circuit(N_WIRES, tuple(Operation(name, (wires[0], wires[1])) for name, wires in gates))
    moments = lower(circuit)
    assert moments.n_moments == n_moments(circuit) == 1
    matrix = np.eye(2**N_WIRES)
    if moments.permutations is not None:
        matrix = matrix[moments.permutations[0]]
    if moments.signs is not None:
        matrix = moments.signs[0][:, None] * matrix
    np.testing.assert_array_equal(matrix, numpy_unitary(circuit, np.zeros(0), np.zeros(0)))


DIAGONAL = st.lists(
    st.tuples(st.sampled_from(["CNOT", "CZ", "SWAP", "CRZ", "RZ", "Z", "S", "T"]), st.permutations(range(N_WIRES))),
    min_size=1,
    max_size=16,
)


@given(gates=DIAGONAL, chooser=st.randoms(use_true_random=False), seed=st.integers(0, 2**32 - 1))
@examples(60)
def test_diagonal_gates_among_entanglers_are_phases_of_one_moment(
    gates: list[tuple[str, list[int]]], chooser: random.Random, seed: int
) -> None:
    operations = []
    for name, wires in gates:
        angles = [random_angle(chooser, N_WEIGHTS, N_FEATURES) for _ in range(GATES[name].n_angles)]
        operations.append(Operation(name, tuple(wires[: GATES[name].n_wires]), tuple(angles)))
    circuit = Circuit(N_WIRES, tuple(operations))
    weights, features = vectors(seed)
    (moment,), phase = moments_with(circuit, "phases")
    assert not moment.rotations
    basis_map = moment.basis_map(N_WIRES)
    permutation, signs = basis_map.tables()
    matrix = np.exp(1j * phase) * np.eye(2**N_WIRES)[permutation] * (1 if signs is None else signs[:, None])
    phases = _phases(N_WIRES, [basis_map.turns])
    if phases is not None:
        with jax.enable_x64(True):
            angles = np.asarray(angles_of(phases.angles, jnp.asarray(weights), jnp.asarray(features)))
        turned = np.einsum("p,pa,pb->ab", angles[0], phases.first[0], phases.second[0]).reshape(-1)
        matrix = np.exp(-0.5j * turned)[:, None] * matrix
    np.testing.assert_allclose(matrix, numpy_unitary(circuit, weights, features), atol=1e-10)


def test_a_repetition_of_an_iqp_circuit_is_one_moment() -> None:
    n = 10
    moments = lower(iqp_feature_map(n, repeats=2))
    assert moments.n_moments == 2
    assert moments.permutations is None
    assert moments.phases is not None
    assert moments.phases.first.shape == (2, n + math.comb(n, 2), 2**5)
    # What the rotations read is then the same for all states.
    assert not moments.angles.n_features


def test_rotations_before_entanglers_stay_matrices() -> None:
    operations = [Operation(gate, (wire,), (weight(wire),)) for gate in ("RY", "RZ") for wire in range(4)]
    circuit = Circuit(4, tuple(2 * [*operations, Operation("CNOT", (0, 1))]))
    assert lower(circuit).phases is None
    assert lower(circuit).n_moments == 2


def test_many_rotations_of_one_wire_are_their_product() -> None:
    count = 1_000
    circuit = Circuit(2, tuple(Operation("RX", (0,), (weight(0),)) for _ in range(count)))
    whole = np.asarray(unitary(circuit, jnp.array([np.pi / count], jnp.float32)))
    np.testing.assert_allclose(whole, np.kron([[0, -1j], [-1j, 0]], np.eye(2)), atol=1e-4)


def test_a_long_circuit_on_few_wires_takes_time_in_proportion() -> None:
    gates = (("RX", weight(0)), ("RZ", weight(0)), ("RZ", weight(1)))
    circuit = Circuit(2, tuple(Operation(gate, (0,), (angle,)) for gate, angle in gates for _ in range(7_000)))
    start = time.process_time()
    lower(circuit)
    # With as many levels as rotations this takes minutes.
    assert time.process_time() - start < 10


def test_counting_moments_of_many_wires_makes_nothing_of_the_states_size() -> None:
    circuit = StronglyEntangling(60, 3).circuit()
    tracemalloc.start()
    assert n_moments(circuit) == 3
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_tables_take_four_bytes_an_amplitude() -> None:
    moments = lower(StronglyEntangling(12, 2).circuit())
    assert moments.permutations is not None
    assert moments.permutations.dtype == np.int32
    assert moments.signs is None
    state = apply(StronglyEntangling(12, 2).circuit(), jnp.zeros(72), jnp.zeros(2**12).at[0].set(1))
    assert float(abs(state[0])) == 1.0


def test_rotations_are_shared_out_among_the_moments_that_can_take_them() -> None:
    turn = [Operation("RX", (0,), (weight(i),)) for i in range(5)]
    line = [Operation(gate, wires) for gate, wires in (("CNOT", (1, 2)), ("H", (1,)), ("CNOT", (1, 2)))]
    circuit = Circuit(3, (*turn[:4], *line, Operation("CNOT", (0, 1)), turn[4]))
    moments = lower(circuit)
    # Two moments before the CNOT of wire 0, with two of its four rotations each, and one after it.
    assert moments.angles.offset.shape[:2] == (3, 2)
    weights = np.random.default_rng(0).normal(size=5)
    with jax.enable_x64(True):
        actual = unitary(circuit, weights)
    np.testing.assert_allclose(actual, numpy_unitary(circuit, weights), atol=1e-12)


def test_data_reuploading_takes_one_rotation_a_wire_and_moment() -> None:
    assert lower(DataReuploading(6).circuit(10)).angles.offset.shape[:2] == (6, 1)
