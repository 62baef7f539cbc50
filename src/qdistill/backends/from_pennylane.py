"""A PennyLane quantum function as a `Circuit`.

The function is traced: it is called with JAX arrays that stand for any weights and features, and the angles of the
gates it queues become one function from those to numbers. Its values and derivatives at a few points say whether each
angle is ``scale * entry + offset`` of one entry, and with which numbers.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdistill.backends.extras import require
from qdistill.backends.standard_gates import standard_gate, unsupported
from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum.angle import Angle, constant, feature, weight
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import UNITARY

_NAMES = {
    "Hadamard": "h", "PauliX": "x", "PauliY": "y", "PauliZ": "z", "CNOT": "cx", "SX": "sx", "Adjoint(S)": "sdg",
    "Adjoint(T)": "tdg", "Adjoint(SX)": "sxdg", "PhaseShift": "p", "U1": "u1", "U2": "u2", "U3": "u3",
    "ControlledPhaseShift": "cp", "CY": "cy", "CH": "ch", "IsingXX": "rxx", "IsingYY": "ryy", "IsingZZ": "rzz",
    "ISWAP": "iswap", "Toffoli": "ccx", "CCZ": "ccz", "CSWAP": "cswap",
} | {name: name.lower() for name in ("RX", "RY", "RZ", "Rot", "S", "T", "CZ", "SWAP", "CRX", "CRY", "CRZ")}  # fmt: skip
"""PennyLane's names for `STANDARD_GATES`. `U2` and `U3` take their angles in the same order as Qiskit's."""

_SILENT = ("Identity", "Barrier", "GlobalPhase", "Snapshot", "WireCut")
_STATES = ("StatePrep", "AmplitudeEmbedding", "BasisState", "QubitDensityMatrix")
_POINTS = 3
"""Random points at which an angle must be what the first point says."""


@dataclass(frozen=True)
class _Queued:
    """A gate that was queued: its standard name or its matrix, and where it came from."""

    name: str
    wires: tuple[int, ...]
    n_angles: int
    matrix: Any
    source: str


@dataclass(frozen=True)
class _Arguments:
    """How a quantum function takes its weights and features."""

    weight_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    n_features: int
    features: str | None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the arrays of weights, in order."""
        return list(self.weight_shape.values()) if isinstance(self.weight_shape, Mapping) else [self.weight_shape]

    @property
    def n_weights(self) -> int:
        """Entries of all arrays together."""
        return sum(math.prod(shape) for shape in self.shapes)

    def check(self, function: Callable[..., Any]) -> None:
        """Raise an ArgumentError where the sizes are none, or the function cannot be called so."""
        if self.n_features < 0 or any(size < 0 for shape in self.shapes for size in shape):
            raise ArgumentError(
                f"Argument `weight_shape` must be sizes and `n_features` at least 0, but were {self.weight_shape} and "
                f"{self.n_features}."
            )
        if self.features is not None and not self.n_features:
            raise ArgumentError(f"Argument `features` must be given with `n_features` only, but was {self.features!r}.")
        if self.n_features and self.features is None and isinstance(self.weight_shape, Mapping):
            raise ArgumentError(
                "Argument `features` must be the name of the argument that takes the features where `weight_shape` "
                "has names, but was None."
            )
        arrays, named = self.split(np.zeros(self.n_weights + self.n_features))
        try:
            inspect.signature(function).bind(*arrays, **named)
        except TypeError as error:
            shown = ", ".join([*("weights", "features")[: len(arrays)], *(f"{name}=..." for name in named)])
            raise ArgumentError(
                f"Argument `quantum_function` must take the arguments ({shown}), but: {error}. `weight_shape` and "
                "`features` may name its arguments."
            ) from error

    def split(self, vector: Any) -> tuple[list[Any], dict[str, Any]]:
        """One vector of all weights and then all features as the function's arguments, by position and by name."""
        arrays, used = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            arrays.append(vector[used : used + size].reshape(shape))
            used += size
        named = {}
        if isinstance(self.weight_shape, Mapping):
            named, arrays = dict(zip(self.weight_shape, arrays, strict=True)), []
        if self.n_features and self.features is None:
            arrays.append(vector[used:])
        elif self.features is not None:
            named[self.features] = vector[used:]
        return arrays, named


def from_pennylane(
    quantum_function: Callable[..., Any],
    n_wires: int,
    *,
    weight_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    n_features: int = 0,
    features: str | None = None,
) -> Circuit:
    """Read a quantum function or a QNode as a circuit.

    It is called as ``f(weights)``, or as ``f(weights, features)`` where it reads features, or with these by name.
    Every angle must be a number, or an affine expression such as ``2 * weights[0, 1] + 0.1`` of one entry. Gates
    beyond the package's own are taken apart (see `standard_gates`), by PennyLane where it can; templates such as
    ``qml.StronglyEntanglingLayers`` too. Global phases are left out, and so are the measurements that the function
    returns: what is measured is the observable of the layer that takes the circuit.

    Args:
        quantum_function: queues gates on the wires 0 to n_wires - 1. Of a QNode the function is read, not the
            device, the shots or the transforms.
        n_wires: number of qubits.
        weight_shape: shape of the array of weights that the function takes first. Or the shapes of several arrays by
            the names of their arguments, as `qml.qnn.TorchLayer` takes them: ``{"weights": (2, 3), "bias": (3,)}``.
            The circuit's weights are the arrays in that order, each in C order, up to the last entry that is read.
        n_features: length of the vector of features; 0 for a function of the weights alone.
        features: name of the argument that takes the features; by default they are the second.

    Raises:
        MissingExtraError: PennyLane is not installed.
        ArgumentError: sizes that are none, or arguments that the function does not take.
        CircuitError: a gate, a wire or an angle that a circuit cannot have, or a measurement before the end.

    Example:
        >>> def ansatz(weights):  # doctest: +SKIP
        ...     qml.RY(weights[0], wires=0)
        ...     qml.IsingXX(2 * weights[1], wires=[0, 1])
        >>> circuit = from_pennylane(ansatz, 2, weight_shape=(2,))  # doctest: +SKIP
        >>> circuit = from_pennylane(  # doctest: +SKIP
        ...     qnode, 4, weight_shape={"weights": (2, 4, 3)}, n_features=4, features="inputs"
        ... )
    """
    qml = require("pennylane", "pennylane")
    function = quantum_function.func if isinstance(quantum_function, qml.QNode) else quantum_function
    arguments = _Arguments(weight_shape, n_features, features)
    arguments.check(function)
    n_weights = arguments.n_weights
    gates: list[_Queued] = []

    def angles(vector: jax.Array) -> jax.Array:
        arrays, named = arguments.split(vector)
        with qml.queuing.AnnotatedQueue() as queue:
            function(*arrays, **named)
        operations, _ = qml.queuing.process_queue(queue)
        gates.clear()
        values: list[Any] = []
        for place, operation in enumerate(operations):
            for gate, parameters in _flatten(qml, operation, place, n_wires):
                gates.append(gate)
                values += parameters
        return jnp.stack([jnp.asarray(v, vector.dtype) for v in values]) if values else jnp.zeros(0, vector.dtype)

    def with_slopes(vector: jax.Array) -> tuple[jax.Array, jax.Array]:
        return angles(vector), jax.jacfwd(angles)(vector)

    size = n_weights + n_features
    points = np.random.default_rng(0).normal(scale=3.0, size=(_POINTS, size))
    _check_indices(qml, function, arguments)
    with jax.enable_x64(True), _explained():
        values, slopes = jax.jit(jax.vmap(with_slopes))(jnp.asarray(np.vstack([np.zeros(size), points])))
    read = _affine(np.asarray(values), np.asarray(slopes), points, gates, n_weights)
    operations: list[Operation] = []
    for gate in gates:
        own, read = read[: gate.n_angles], read[gate.n_angles :]
        if gate.matrix is not None:
            operations.append(Operation(UNITARY, gate.wires, matrix=gate.matrix))
        else:
            operations += standard_gate(gate.name, gate.wires, own)
    return Circuit(n_wires, tuple(operations))


def _check_indices(qml: Any, function: Callable[..., Any], arguments: _Arguments) -> None:
    """Refuse a function that reads beyond its arguments: NumPy says so, where JAX takes the last entry instead."""
    arrays, named = arguments.split(np.full(arguments.n_weights + arguments.n_features, 0.5))
    try:
        with qml.queuing.AnnotatedQueue():
            function(*arrays, **named)
    except IndexError as error:
        raise CircuitError(
            f"Argument `quantum_function` must read no more than weights of the shape {arguments.weight_shape} and "
            f"{arguments.n_features} features, but {error}."
        ) from error
    except Exception:
        return  # what else goes wrong is told where the function is traced, or is a function for JAX arrays alone


def _flatten(qml: Any, operation: Any, place: int, n_wires: int) -> Iterator[tuple[_Queued, list[Any]]]:
    """An operation as standard gates with their parameters."""
    source = f"{place}, {operation.name} on wires {operation.wires.tolist()}"
    todo = [operation]
    while todo:
        now = todo.pop()
        if now.name in _SILENT:
            continue
        if "Measure" in now.name or type(now).__name__ == "Conditional":
            raise CircuitError(
                f"Operation {source}, is a mid-circuit measurement or depends on one: a circuit here is unitary, and "
                "is measured at its end alone."
            )
        if now.name in _STATES:
            raise CircuitError(
                f"Operation {source}, sets a state. Leave it out, and choose the layer's embedding instead."
            )
        wires = now.wires.tolist()
        if any(type(wire) is not int or not 0 <= wire < n_wires for wire in wires):
            raise CircuitError(f"Operation {source}, must be on the wires 0 to {n_wires - 1}.")
        name = _NAMES.get(now.name, "rzz" if now.name == "MultiRZ" else None)
        if name is not None:
            yield _Queued(name, tuple(wires), len(now.data), None, source), list(now.data)
        elif now.name == "QubitUnitary" and len(wires) == 1 and not isinstance(now.data[0], jax.core.Tracer):
            rows = np.asarray(now.data[0], dtype=complex).tolist()
            yield _Queued(UNITARY, tuple(wires), 0, tuple(tuple(row) for row in rows), source), []
        else:
            todo += reversed(_parts(qml, now, operation, place))


def _parts(qml: Any, operation: Any, whole: Any, place: int) -> list[Any]:
    """What PennyLane takes an operation apart into."""
    why = ""
    if operation.has_decomposition:
        try:
            with qml.queuing.QueuingManager.stop_recording():
                parts: list[Any] = operation.decomposition()
                return parts
        except CircuitError:
            raise
        except Exception as error:  # whatever a decomposition does that cannot be traced
            why = f"PennyLane cannot take it apart: {type(error).__name__}"
    known = [*_NAMES, "MultiRZ", "QubitUnitary on one wire"]
    raise unsupported(whole.name, place, f"wires {whole.wires.tolist()}", known, why)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what a function did that cannot be traced."""
    try:
        yield
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise CircuitError(
            "Argument `quantum_function` must queue the same gates whatever its weights and features, and compute "
            "angles from them with Python's arithmetic or jax.numpy, but it needs their values: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _affine(
    values: np.ndarray, slopes: np.ndarray, points: np.ndarray, gates: list[_Queued], n_weights: int
) -> list[Angle]:
    """The angles, from their values and derivatives at zero (the first row) and at the points."""
    sources = [gate.source for gate in gates for _ in range(gate.n_angles)]
    angles = []
    for place, source in enumerate(sources):
        offset, slope = float(values[0, place]), slopes[0, place]
        predicted = points @ slope + offset
        used = np.flatnonzero(slope)
        same = np.array_equal(slopes[1:, place], np.broadcast_to(slope, points.shape))
        if len(used) > 1 or not same or not np.allclose(values[1:, place], predicted, rtol=1e-9, atol=1e-9):
            raise CircuitError(
                f"Operation {source}, must have angles of the form scale * entry + offset with one entry of the "
                "weights or of the features, but one of its angles is another function of them."
            )
        if not used.size:
            angles.append(constant(offset))
            continue
        index = int(used[0])
        entry = weight(index) if index < n_weights else feature(index - n_weights)
        angles.append(float(slope[index]) * entry + offset)
    return angles
