"""A quantum layer as a PennyLane quantum function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from operator import matmul
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from qdistill.backends.extras import require
from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import real, real_numpy
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import AmplitudeEmbedding
from qdistill.quantum.gates import UNITARY
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import Observable, PauliSum, PauliZ, of_each_output
from qdistill.quantum.paulis import PauliString
from qdistill.quantum.preparation import check_n_features, embedded, embedded_features

Preparation = Literal["template", "gates"]
"""How amplitudes are prepared: by the framework's own template, or as RY and CNOT gates."""

_COMPUTED = ("float32", "float64")

PENNYLANE_NAMES = {
    "H": "Hadamard", "X": "PauliX", "Y": "PauliY", "Z": "PauliZ", UNITARY: "QubitUnitary",
} | {name: name for name in ("RX", "RY", "RZ", "Rot", "S", "T", "CNOT", "CZ", "SWAP", "CRX", "CRY", "CRZ")}  # fmt: skip
"""What PennyLane calls each gate; angles and the order of wires are the same."""


@dataclass(frozen=True, eq=False)
class PennyLaneLayer:
    """A layer in PennyLane.

    Args:
        function: the quantum function, ``function(features, **weights)``; it returns one expectation value for each
            output of the observable. Features are one vector, or a batch of them, (batch, features), for which each
            value has an axis too. Arrays may be NumPy's or JAX's, and every argument can be differentiated.
        weights: the layer's arrays: ``"angles"``, flat, in radians, and ``"coefficients"``: of a `Hermitian`
            (groups, 4^k) in the order of `qdistill.quantum.pauli_strings`, of a `PauliSum` that is trained one for each
            of its strings. Pauli-Z and sums with fixed coefficients have none.
        n_wires: number of qubits.
    """

    function: Callable[..., list[Any]]
    weights: dict[str, np.ndarray]
    n_wires: int


def to_pennylane(layer: QuantumLayer, *, preparation: Preparation = "template") -> PennyLaneLayer:
    """Write a layer as a PennyLane quantum function.

    Args:
        layer: what to export. `trainable` has no counterpart: which arguments are differentiated is the caller's
            choice there.
        preparation: with amplitude embedding, whether the amplitudes go through ``qml.AmplitudeEmbedding`` or
            through gates (see `qdistill.quantum.preparation`). Other embeddings are gates in any case.

    Raises:
        MissingExtraError: PennyLane is not installed.
        CircuitError: the embedding is not one of this package's.

    Example:
        >>> exported = to_pennylane(layer)  # doctest: +SKIP
        >>> qnode = qml.QNode(exported.function, qml.device("default.qubit", wires=exported.n_wires))  # doctest: +SKIP
        >>> values = qnode(features, **exported.weights)  # doctest: +SKIP
    """
    qml = require("pennylane", "pennylane")
    check_preparation(preparation)
    n, template = layer.circuit.n_wires, isinstance(layer.embedding, AmplitudeEmbedding) and preparation == "template"
    gates = layer.circuit if template else embedded(layer.embedding, layer.circuit)
    expected = coefficients_of(layer.observable)

    def function(features: Any, angles: Any, coefficients: Any = None) -> list[Any]:
        features, angles = _given(qml, "features", features, (1, 2)), _given(qml, "angles", angles, (1,))
        _check_shape(qml, "angles", angles, (layer.circuit.n_weights,))
        if expected is not None:
            coefficients = _given(qml, "coefficients", coefficients, (expected.ndim,))
            _check_shape(qml, "coefficients", coefficients, expected.shape)
        elif coefficients is not None:
            raise CircuitError("Argument `coefficients` must be None, for those of the layer are fixed.")
        check_n_features(layer.embedding, layer.circuit, qml.math.shape(features)[-1])
        if template:
            qml.AmplitudeEmbedding(features, wires=range(n), pad_with=0.0, normalize=True)
            read = features
        else:
            prepare = partial(embedded_features, layer.embedding, layer.circuit)
            given = jnp.asarray(features)
            read = prepare(given) if given.ndim == 1 else jax.vmap(prepare)(given)
            if not isinstance(features, jax.Array):  # an array of JAX would make PennyLane compute in JAX
                read = np.asarray(read, dtype=float)
        # Each feature of a batch is a column of it.
        queue(qml, gates, angles, read if qml.math.ndim(read) == 1 else qml.math.transpose(read))
        return [qml.expval(each) for each in _observables(qml, layer.observable, coefficients)]

    return PennyLaneLayer(function, layer_arrays(layer), n)


def queue(qml: Any, circuit: Circuit, weights: Any, features: Any) -> None:
    """Queue a circuit's operations inside a quantum function.

    Args:
        qml: the module `pennylane`.
        circuit: what to queue.
        weights: indexed by the circuit's weight indices; any array that PennyLane takes. Entries with an axis are a
            batch.
        features: likewise.
    """
    for operation in circuit.operations:
        gate = getattr(qml, PENNYLANE_NAMES[operation.gate])
        if operation.gate == UNITARY:
            gate(np.array(operation.matrix), wires=operation.wires)
        else:
            gate(*(angle.value(weights, features) for angle in operation.angles), wires=list(operation.wires))


def _given(qml: Any, name: str, values: Any, axes: tuple[int, ...]) -> Any:
    """An argument in a type that is computed in; one that is already stays as it is, so that it can be differentiated.

    Raises:
        ArgumentError: no real numbers.
        CircuitError: another number of axes.
    """
    if isinstance(values, jax.Array):
        values = real(name, values)
    else:
        known = hasattr(values, "dtype") and not isinstance(values, np.ma.MaskedArray)
        dtype = qml.math.get_dtype_name(values) if known else ""
        if isinstance(values, np.ndarray | np.generic) or not known:
            # Arrays of another byte order are computed in by NumPy, but JAX does not know them.
            ready = dtype in _COMPUTED and values.dtype.isnative
            values = values if ready else real_numpy(name, values)
        elif dtype.startswith("complex"):
            raise ArgumentError(f"Argument `{name}` must be real numbers, but was {dtype}.")
        elif dtype not in _COMPUTED:
            values = qml.math.cast(values, "float64")
    if qml.math.ndim(values) not in axes:
        expected = " or ".join(map(str, axes)) + (" axis" if axes == (1,) else " axes")
        raise CircuitError(f"Argument `{name}` must have {expected}, but had shape {tuple(qml.math.shape(values))}.")
    return values


def _check_shape(qml: Any, name: str, values: Any, shape: tuple[int, ...]) -> None:
    """Raise a CircuitError for an array of another shape than the layer's own."""
    if tuple(qml.math.shape(values)) != shape:
        raise CircuitError(f"Argument `{name}` must have shape {shape}, but had {tuple(qml.math.shape(values))}.")


def check_preparation(preparation: str) -> None:
    """Raise an ArgumentError for anything but the two ways of preparing amplitudes."""
    if preparation not in ("template", "gates"):
        raise ArgumentError.unknown("preparation", preparation, ("template", "gates"))


def layer_arrays(layer: QuantumLayer) -> dict[str, np.ndarray]:
    """A layer's weights by the names that every export gives them."""
    arrays: dict[str, Float[np.ndarray, "..."]] = {"angles": np.asarray(real("weights", layer.weights)).reshape(-1)}
    coefficients = coefficients_of(layer.observable)
    return arrays if coefficients is None else arrays | {"coefficients": coefficients}


def coefficients_of(observable: Observable) -> np.ndarray | None:
    """The coefficients that an export takes as an argument, in their own shape; None where it has them written in."""
    if isinstance(observable, PauliZ) or (isinstance(observable, PauliSum) and not observable.trainable):
        return None
    return np.asarray(real("coefficients", observable.coefficients))


def _observables(qml: Any, observable: Observable, coefficients: Any) -> list[Any]:
    """The sum of each output in PennyLane, with these coefficients, or with the observable's own where it has none."""
    if coefficients is None:
        coefficients = np.asarray(observable.term_coefficients(), dtype=float)
    rows = of_each_output(observable.terms, qml.math.reshape(coefficients, (-1,)))
    products = [[_pauli(qml, string) for string in strings] for strings in observable.terms]
    if isinstance(observable, PauliZ):
        return [only for (only,) in products]
    return [qml.dot(list(row), own) for row, own in zip(rows, products, strict=True)]


def _pauli(qml: Any, string: PauliString) -> Any:
    factors = {"X": qml.PauliX, "Y": qml.PauliY, "Z": qml.PauliZ}
    products = [factors[letter](wire) for letter, wire in zip(string.letters, string.wires, strict=True)]
    return reduce(matmul, products) if products else qml.Identity(0)
