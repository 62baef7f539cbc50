"""A PennyLane quantum function as a `Circuit`.

The function is traced: it is called once with JAX arrays that stand for any weights and features. The gates that it
queues are taken apart while their angles are traced; how the angles are computed says which polynomials they are.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from qdistill.backends.blocks import Block
from qdistill.backends.extras import require
from qdistill.backends.jaxpr_polynomials import polynomials
from qdistill.backends.pennylane_gates import GateReader, not_unitary, shown
from qdistill.backends.polynomials import OUTSIDE, Entry, Unreadable, as_coefficients
from qdistill.backends.refusals import Place, angle_refused
from qdistill.errors import ArgumentError, CircuitError, QDistillError
from qdistill.quantum.angle import Angle, constant
from qdistill.quantum.circuit import Circuit, Operation


@dataclass(frozen=True)
class _Arguments:
    """How a quantum function takes its weights and features."""

    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...] | None
    n_features: int
    features: str | None

    @classmethod
    def of(cls, weight_shape: Any, n_features: Any, features: Any) -> _Arguments:
        """Check and convert what the caller gave."""
        named = isinstance(weight_shape, Mapping)
        shapes = tuple(map(_shape, weight_shape.values() if named else [weight_shape]))
        names = tuple(weight_shape) if named else None
        if names and not all(isinstance(name, str) for name in names):
            raise ArgumentError(f"Argument `weight_shape` must have the names of arguments, but has {names}.")
        (count,) = _sizes([n_features], "n_features", n_features)
        if features is not None and not isinstance(features, str):
            raise ArgumentError(f"Argument `features` must be the name of an argument, but was {features!r}.")
        if features is not None and not count:
            raise ArgumentError(f"Argument `features` must be given with `n_features` only, but was {features!r}.")
        if count and features is None and named:
            raise ArgumentError(
                "Argument `features` must be the name of the argument that takes the features where `weight_shape` "
                "has names, but was None."
            )
        if names and features in names:
            raise ArgumentError(f"Argument `features` must be no name of `weight_shape`, but was {features!r}.")
        return cls(shapes, names, count, features)

    @property
    def n_weights(self) -> int:
        """Entries of all arrays together."""
        return sum(math.prod(shape) for shape in self.shapes)

    def check(self, function: Callable[..., Any]) -> None:
        """Raise an ArgumentError where the function cannot be called so."""
        if not callable(function):
            raise ArgumentError(
                f"Argument `quantum_function` must be a function that queues gates, or a QNode, but was {function!r}."
            )
        arrays, named = self.split(np.zeros(self.n_weights + self.n_features))
        try:
            inspect.signature(function).bind(*arrays, **named)
        except (TypeError, ValueError) as error:
            shown = ", ".join([*("weights", "features")[: len(arrays)], *(f"{name}=..." for name in named)])
            raise ArgumentError(
                f"Argument `quantum_function` must take the arguments ({shown}), but: {error}. `n_features` says how "
                "many features it reads, and `weight_shape` and `features` may name its arguments."
            ) from error

    def split(self, vector: Any) -> tuple[list[Any], dict[str, Any]]:
        """One vector of all weights and then all features as the function's arguments, by position and by name."""
        arrays, used = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            arrays.append(vector[used : used + size].reshape(shape))
            used += size
        named = {}
        if self.names is not None:
            named, arrays = dict(zip(self.names, arrays, strict=True)), []
        if self.n_features and self.features is None:
            arrays.append(vector[used:])
        elif self.features is not None:
            named[self.features] = vector[used:]
        return arrays, named


def _shape(value: Any) -> tuple[int, ...]:
    """A shape; an integer is one of one axis."""
    return _sizes(value if np.iterable(value) and not isinstance(value, str) else [value], "weight_shape", value)


def _sizes(values: Any, name: str, given: Any) -> tuple[int, ...]:
    """Integers of at least 0."""
    try:
        sizes = tuple(operator.index(value) for value in values if not isinstance(value, bool))
    except TypeError:
        sizes = ()
    if len(sizes) != len(values) or any(size < 0 for size in sizes):
        expected = "sizes such as (2, 3)" if name == "weight_shape" else "an integer of at least 0"
        raise ArgumentError(f"Argument `{name}` must be {expected}, but was {given!r}.")
    return sizes


def from_pennylane(
    quantum_function: Callable[..., Any],
    n_wires: int,
    *,
    weight_shape: int | Iterable[int] | Mapping[str, int | Iterable[int]],
    n_features: int = 0,
    features: str | None = None,
) -> Circuit:
    """Read a quantum function or a QNode as a circuit.

    It is called as ``f(weights)``, or as ``f(weights, features)`` where it reads features, or with these by name.
    Every angle must be a polynomial of the weights and features, such as ``2 * weights[0, 1] * features[0] + 0.1``: how
    it is computed decides, not its values. Gates beyond the package's own are taken apart (see `standard_gates`), by
    PennyLane where it can; templates such as ``qml.StronglyEntanglingLayers`` too. The global phase is left out, and so
    are the measurements that the function returns: what is measured is the observable of the layer that takes the
    circuit. `classifier_from_pennylane` reads them too.

    Args:
        quantum_function: queues gates on the wires 0 to n_wires - 1. Of a QNode, or a `qml.qnn.TorchLayer` of one, the
            function is read, not the device, the shots or the transforms. It is called once, with arrays of JAX.
        n_wires: number of qubits.
        weight_shape: shape of the array of weights that the function takes first; an integer for one axis. Or the
            shapes of several arrays by the names of their arguments, as `qml.qnn.TorchLayer` takes them:
            ``{"weights": (2, 3), "bias": (3,)}``. The circuit's weights are the arrays in that order, each in C order,
            up to the last entry that is read.
        n_features: length of the vector of features; 0 for a function of the weights alone.
        features: name of the argument that takes the features; by default they are the second.

    Raises:
        MissingExtraError: PennyLane is not installed.
        ArgumentError: sizes that are none, or arguments that the function does not take.
        CircuitError: a gate, a wire or an angle that a circuit cannot have, a measurement before the end, or a function
            that fails or asks for the values of its arguments.

    Example:
        >>> def ansatz(weights):  # doctest: +SKIP
        ...     qml.RY(weights[0], wires=0)
        ...     qml.IsingXX(2 * weights[1], wires=[0, 1])
        >>> circuit = from_pennylane(ansatz, 2, weight_shape=(2,))  # doctest: +SKIP
        >>> circuit = from_pennylane(  # doctest: +SKIP
        ...     qnode, 4, weight_shape={"weights": (2, 4, 3)}, n_features=4, features="inputs"
        ... )
    """
    return read_function(quantum_function, n_wires, weight_shape, n_features, features)[0]


def read_function(
    quantum_function: Any, n_wires: int, weight_shape: Any, n_features: int, features: str | None
) -> tuple[Circuit, list[Any]]:
    """What `from_pennylane` reads, whose arguments and errors these are, and the measurements at the end.

    Returns:
        The circuit; and the measurements that the function queues, in their order, as PennyLane has them.
    """
    qml = require("pennylane", "pennylane")
    function = _function(quantum_function)
    arguments = _Arguments.of(weight_shape, n_features, features)
    arguments.check(function)
    reader = GateReader(qml, Circuit(n_wires).n_wires)
    blocks: list[Block] = []
    measurements: list[Any] = []

    def numbers(vector: jax.Array) -> list[jax.Array]:
        operations, measured = _queued(qml, function, arguments, vector)
        blocks.extend(reader.read(operation, number) for number, operation in enumerate(operations))
        measurements.extend(measured)
        return reader.traced

    with _explained():
        entries = polynomials(numbers, arguments.n_weights + arguments.n_features)
    for index in reader.zeros:
        if entries[index]:
            raise not_unitary(reader.places[index])
    angles = _Angles(entries, reader.places, arguments)
    operations = [angles.put_into(operation) for block in blocks for operation in block.operations]
    return Circuit(n_wires, tuple(operations)), measurements


def _function(quantum_function: Any) -> Any:
    """The function of a QNode, or of the QNode in a TorchLayer."""
    node = quantum_function.qnode if type(quantum_function).__name__ == "TorchLayer" else quantum_function
    return node.func if hasattr(node, "func") and hasattr(node, "device") else node


def _queued(
    qml: Any, function: Callable[..., Any], arguments: _Arguments, vector: jax.Array
) -> tuple[list[Any], list[Any]]:
    """The operations that a function queues, and the measurements at its end."""
    arrays, named = arguments.split(vector)
    operations: list[Any] = []
    measurements: list[Any] = []
    with qml.queuing.AnnotatedQueue() as queue:
        try:
            function(*arrays, **named)
        except Exception as error:
            raise _failure(function, error, queue.queue) from error
    for item in queue.queue:
        if isinstance(item, qml.measurements.MeasurementProcess):
            measurements.append(item)
            continue
        where = f"Operation {Place(len(operations), (shown(item) if hasattr(item, 'wires') else repr(item),))},"
        if not isinstance(item, qml.operation.Operator):
            raise CircuitError(f"{where} must be an operation of PennyLane's, but was {type(item).__name__}.")
        if measurements:
            raise CircuitError(f"{where} must come before the measurements, which end the circuit.")
        operations.append(item)
    return operations, measurements


def _failure(function: Callable[..., Any], error: Exception, queued: list[Any]) -> Exception:
    """Say what a function did that cannot be traced, and where."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    where = f"in line {lines[-1]} " if lines else ""
    where += f"after {len(queued)} operations" if queued else "before the first operation"
    said = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
    if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        return CircuitError(
            "Argument `quantum_function` must queue the same gates whatever its weights and features, and compute "
            f"angles from them with Python's arithmetic or jax.numpy, but {where} it needs their values ({said})."
        )
    return CircuitError(
        "Argument `quantum_function` must run with arrays of JAX for its weights and features, and compute angles from "
        f"them with Python's arithmetic or jax.numpy, but {where} it raised {said}"
    )


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what was queued where JAX traces on its own."""
    try:
        yield
    except QDistillError:
        raise
    except RecursionError as error:
        raise CircuitError(
            "Argument `quantum_function` must queue operations that are not so deeply nested."
        ) from error
    except (jax.errors.UnexpectedTracerError, jax.errors.JAXTypeError) as error:
        raise CircuitError(
            "Argument `quantum_function` must queue its gates outside of functions that JAX traces on its own, such as "
            "those under jax.jit, jax.vmap or jax.lax.scan; use loops of Python."
        ) from error


@dataclass(frozen=True)
class _Angles:
    """What the numbers are that stand in the blocks as weights."""

    entries: list[Entry]
    places: list[Place]
    arguments: _Arguments

    def __getitem__(self, index: int) -> Angle:
        entry = self.entries[index]
        if entry is OUTSIDE:
            raise CircuitError(
                f"Argument `quantum_function` must read no more than weights of the shapes {self.arguments.shapes} and "
                f"{self.arguments.n_features} features, but operation {self.places[index]}, reads an entry beyond them."
            )
        if isinstance(entry, Unreadable):
            raise angle_refused(self.places[index], entry.reason)
        return Angle.of(as_coefficients(entry, self.arguments.n_weights))

    def put_into(self, operation: Operation) -> Operation:
        """The operation with the angles that it reads."""
        angles = (angle.value(self, ()) for angle in operation.angles)
        return replace(operation, angles=tuple(a if isinstance(a, Angle) else constant(a) for a in angles))
