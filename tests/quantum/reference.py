"""What the package is compared with: a small NumPy simulator, PennyLane, and the errors between results.

The NumPy simulator shares with the package only the gates' matrices, which are themselves compared with
PennyLane's; it multiplies every gate out in double precision.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from qdistill.quantum import (
    Angle,
    Circuit,
    Hermitian,
    Observable,
    Operation,
    PauliString,
    PauliZ,
    constant,
    feature,
    weight,
)
from qdistill.quantum.gates import GATES, UNITARY

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles several times faster than `jax.jit`, to code that is slower: right for code that runs once."""

PAULI_MATRICES = {
    "I": np.array([[1, 0], [0, 1]], dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.array([[1, 0], [0, -1]], dtype=complex),
}

PENNYLANE_GATES: dict[str, Any] = {
    "RX": qml.RX,
    "RY": qml.RY,
    "RZ": qml.RZ,
    "Rot": qml.Rot,
    "H": qml.Hadamard,
    "X": qml.PauliX,
    "Y": qml.PauliY,
    "Z": qml.PauliZ,
    "S": qml.S,
    "T": qml.T,
    "CNOT": qml.CNOT,
    "CZ": qml.CZ,
    "SWAP": qml.SWAP,
    "CRX": qml.CRX,
    "CRY": qml.CRY,
    "CRZ": qml.CRZ,
}


def random_unitary(chooser: random.Random) -> tuple[tuple[complex, complex], tuple[complex, complex]]:
    """A 2x2 unitary from three angles and a phase, entry by entry."""
    a, b, c, theta = (chooser.uniform(-math.pi, math.pi) for _ in range(4))
    cos, sin = math.cos(theta), math.sin(theta)
    phase_a, phase_b, phase_c = (complex(math.cos(t), math.sin(t)) for t in (a, b, c))
    return ((phase_a * cos, -phase_a * phase_c * sin), (phase_b * sin, phase_b * phase_c * cos))


def random_angle(chooser: random.Random, n_weights: int, n_features: int, *, polynomials: bool = True) -> Angle:
    """A constant, an entry as it is or with a scale and an offset, and polynomials of several entries."""

    def entry() -> Angle:
        if n_features and chooser.random() < 0.5:
            return feature(chooser.randrange(n_features))
        return weight(chooser.randrange(n_weights))

    kind = chooser.choice(["constant", "entry", "entry", "affine"] + ["sum", "product"] * polynomials)
    offset = constant(chooser.uniform(-math.pi, math.pi))
    if kind == "constant":
        return offset
    if kind == "entry":
        return entry()
    affine = chooser.uniform(-2, 2) * entry() + offset
    if kind == "affine":
        return affine
    total = affine + chooser.uniform(-2, 2) * entry()
    return total if kind == "sum" else total + chooser.uniform(-0.3, 0.3) * entry() * entry()


def random_circuit(
    chooser: random.Random,
    n_wires: int,
    n_operations: int,
    *,
    n_weights: int = 6,
    n_features: int = 0,
    polynomials: bool = True,
) -> Circuit:
    """A circuit over all gates; the chooser is a seeded generator or Hypothesis's."""
    names = [name for name, gate in GATES.items() if gate.n_wires <= n_wires] + [UNITARY]
    operations = []
    for _ in range(n_operations):
        name = chooser.choice(names)
        if name == UNITARY:
            wires = (chooser.randrange(n_wires),)
            operations.append(Operation(UNITARY, wires, matrix=random_unitary(chooser)))
            continue
        wires = tuple(chooser.sample(range(n_wires), GATES[name].n_wires))
        angles = [
            random_angle(chooser, n_weights, n_features, polynomials=polynomials) for _ in range(GATES[name].n_angles)
        ]
        operations.append(Operation(name, wires, tuple(angles)))
    return Circuit(n_wires, tuple(operations))


def angle_value(angle: Angle, weights: Any, features: Any) -> Any:
    """The angle in radians, in the arithmetic of the vectors."""
    total = 0.0
    for term in angle.terms:
        product = term.coefficient
        for index in term.weights:
            product = product * weights[index]
        for index in term.features:
            product = product * features[index]
        total = total + product
    return total


def on_wires(matrix: np.ndarray, wires: Sequence[int], n_wires: int) -> np.ndarray:
    """An operator on some wires as one on all of them, (2^n, 2^n); the first wire given is the first letter."""
    k = len(wires)
    identity = np.eye(2**n_wires).reshape((2,) * n_wires + (-1,))
    image = np.tensordot(matrix.reshape((2,) * (2 * k)), identity, axes=(range(k, 2 * k), wires))
    return np.moveaxis(image, range(k), wires).reshape(2**n_wires, 2**n_wires)


def numpy_unitary(circuit: Circuit, weights: np.ndarray, features: np.ndarray | None = None) -> np.ndarray:
    """The circuit's matrix in double precision, gate by gate."""
    matrix = np.eye(2**circuit.n_wires, dtype=complex)
    for operation in circuit.operations:
        if operation.gate == UNITARY:
            gate = np.array(operation.matrix)
        else:
            angles = [float(angle_value(a, weights, features)) for a in operation.angles]
            gate = GATES[operation.gate].matrix(*angles)
        matrix = on_wires(gate, operation.wires, circuit.n_wires) @ matrix
    return matrix


def pauli_products(n_wires: int) -> list[np.ndarray]:
    """The matrices of II, IX, IY, IZ, XI, ..."""
    letters = itertools.product(PAULI_MATRICES.values(), repeat=n_wires)
    return [reduce(np.kron, matrices) for matrices in letters]


def numpy_observable(coefficients: np.ndarray, wires: Sequence[Sequence[int]], n_wires: int) -> np.ndarray:
    """The matrices of an observable's groups on all wires, (groups, 2^n, 2^n)."""
    matrices = []
    for row, group in zip(coefficients, wires, strict=True):
        terms = zip(row, pauli_products(len(group)), strict=True)
        matrices.append(on_wires(sum(float(c) * pauli for c, pauli in terms), group, n_wires))
    return np.array(matrices)


def numpy_values(coefficients: np.ndarray, wires: Sequence[Sequence[int]], state: np.ndarray) -> np.ndarray:
    """The expectation values of Hermitians in double precision."""
    matrices = numpy_observable(coefficients, wires, state.size.bit_length() - 1)
    return np.einsum("i,gij,j->g", state.conj(), matrices, state).real


def term_matrices(observable: Observable, n_wires: int) -> list[np.ndarray]:
    """For each output the matrices of its terms on all wires, (terms, 2^n, 2^n)."""
    if isinstance(observable, PauliZ):
        return [on_wires(PAULI_MATRICES["Z"], group, n_wires)[None] for group in observable.wires]
    if isinstance(observable, Hermitian):
        return [
            np.array([on_wires(pauli, group, n_wires) for pauli in pauli_products(len(group))])
            for group in observable.wires
        ]
    return [np.array([string_matrix(string, n_wires) for string in strings]) for strings in observable.strings]


def string_matrix(string: PauliString, n_wires: int) -> np.ndarray:
    """A Pauli string on all wires, letter by letter."""
    letters = dict(zip(string.wires, string.letters, strict=True))
    return reduce(np.kron, [PAULI_MATRICES[letters.get(wire, "I")] for wire in range(n_wires)])


def observable_values(observable: Observable, state: np.ndarray) -> np.ndarray:
    """The expectation values of any observable in double precision."""
    matrices = term_matrices(observable, state.size.bit_length() - 1)
    terms = [np.einsum("i,tij,j->t", state.conj(), each, state).real for each in matrices]
    ends = np.cumsum([len(each) for each in terms])[:-1]
    coefficients = np.split(np.asarray(observable.term_coefficients(), float), ends)
    return np.array([own @ each for own, each in zip(coefficients, terms, strict=True)])


def queue_circuit(circuit: Circuit, weights: Any, features: Any = None) -> None:
    """Apply the circuit inside a PennyLane quantum function."""
    for operation in circuit.operations:
        queue_operation(operation, weights, features)


def queue_operation(operation: Operation, weights: Any, features: Any = None) -> None:
    """Apply one operation inside a PennyLane quantum function."""
    if operation.gate == UNITARY:
        qml.QubitUnitary(np.array(operation.matrix), wires=operation.wires)
    else:
        angles = [angle_value(a, weights, features) for a in operation.angles]
        PENNYLANE_GATES[operation.gate](*angles, wires=operation.wires)


def pennylane_state(
    circuit: Circuit, weights: np.ndarray, state: np.ndarray, features: np.ndarray | None = None
) -> np.ndarray:
    """The state after the circuit, by default.qubit in double precision."""

    @qml.qnode(qml.device("default.qubit", wires=circuit.n_wires))
    def final_state() -> Any:
        qml.StatePrep(state, wires=range(circuit.n_wires))
        queue_circuit(circuit, weights, features)
        return qml.state()

    return np.asarray(final_state())


def pennylane_values(
    n_wires: int, matrices: Sequence[np.ndarray], body: Callable[[Any, Any], None]
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """The expectation values of a quantum function as a function of weights, features and coefficients.

    Args:
        n_wires: number of qubits.
        matrices: of the terms of each output, as `term_matrices` gives them; the coefficients are flat.
        body: queues the operations for given weights and features.
    """
    ends = np.cumsum([len(each) for each in matrices])[:-1]

    @qml.qnode(qml.device("default.qubit", wires=n_wires), interface="jax", diff_method="backprop")
    def circuit(weights: Any, features: Any, coefficients: Any) -> Any:
        body(weights, features)
        rows = jnp.split(coefficients, ends)
        hermitians = [jnp.einsum("t,tij->ij", row, each) for row, each in zip(rows, matrices, strict=True)]
        return [qml.expval(qml.Hermitian(hermitian, wires=range(n_wires))) for hermitian in hermitians]

    return lambda *arguments: jnp.stack(circuit(*arguments))


def derivatives(
    function: Callable[..., jax.Array],
    arguments: tuple[jax.Array, ...],
    cotangent: jax.Array,
    tangents: tuple[jax.Array, ...],
    *,
    jit: Callable[..., Any] = quick_jit,
) -> dict[str, list[np.ndarray]]:
    """Value, gradient and Hessian-vector product of ``cotangent . function`` in all arguments at once.

    Args:
        function: arrays -> vector.
        arguments: where to evaluate it.
        cotangent: weighs the outputs.
        tangents: the vectors of the Hessian-vector product, one an argument.
        jit: how to compile.
    """

    def scalar(*args: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = function(*args)
        return values @ cotangent, values

    @jit
    def everything(args: tuple[jax.Array, ...], vectors: tuple[jax.Array, ...]) -> Any:
        gradient = jax.grad(scalar, argnums=tuple(range(len(args))), has_aux=True)
        (slopes, values), (curvatures, _) = jax.jvp(gradient, args, vectors)
        return values, slopes, curvatures

    values, slopes, curvatures = everything(arguments, tangents)
    return {
        "value": [np.asarray(values)],
        "gradient": [np.asarray(slope) for slope in slopes],
        "hessian_vector": [np.asarray(curvature) for curvature in curvatures],
    }


def relative_error(actual: Any, expected: Any) -> float:
    """The largest difference over the largest expected entry; the bare difference where that is zero."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    if not expected.size:
        return 0.0
    largest = float(np.abs(expected).max())
    return float(np.abs(actual - expected).max()) / (largest if largest > 1e-8 else 1.0)
