"""How circuits become moments: what entanglers do to basis states, and that long circuits take little."""

from __future__ import annotations

import time
import tracemalloc

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qdistill.quantum import Circuit, Operation, StronglyEntangling, apply, unitary, weight
from qdistill.quantum.lowering import lower, n_moments

from .reference import numpy_unitary
from .strategies import examples

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


def test_many_rotations_of_one_wire_are_their_product() -> None:
    count = 1_000
    circuit = Circuit(2, tuple(Operation("RX", (0,), (weight(0),)) for _ in range(count)))
    whole = np.asarray(unitary(circuit, jnp.array([np.pi / count], jnp.float32)))
    np.testing.assert_allclose(whole, np.kron([[0, -1j], [-1j, 0]], np.eye(2)), atol=1e-4)


def test_a_long_circuit_on_few_wires_takes_time_in_proportion() -> None:
    circuit = Circuit(2, tuple(Operation("RX", (0,), (weight(0),)) for _ in range(20_000)))
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
