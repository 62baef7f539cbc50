"""A whole QNode of PennyLane, with what it measures, as a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from qdistill.backends.extras import require
from qdistill.backends.from_pennylane import read_function
from qdistill.backends.read_observables import from_pennylane_observable
from qdistill.errors import ArgumentError, CircuitError
from qdistill.models import CircuitArchitecture
from qdistill.quantum.pauli_text import pauli_text


def classifier_from_pennylane(
    qnode: Callable[..., Any],
    n_wires: int | None = None,
    *,
    weight_shape: int | Iterable[int] | Mapping[str, int | Iterable[int]],
    n_features: int = 0,
    features: str | None = None,
    embedding: Literal["none", "angle", "amplitude"] = "none",
) -> CircuitArchitecture:
    """Read a QNode as a model: its gates as `from_pennylane` does, and its measurements as the readout.

    Several expectation values are one a class; a single one is the margin of two classes, where a positive value speaks
    for the second; ``qml.probs`` are the classes of basis states. Observables are sums of products of Pauli matrices,
    or other Hermitian ones on few wires, whose coefficients are numbers. Everything else about the model, such as
    factors of the inputs and outputs that are trained, is changed by `dataclasses.replace`.

    Args:
        qnode: a QNode, the function of one, or a `qml.qnn.TorchLayer`; returns its measurements.
        n_wires: number of qubits; by default the device's wires.
        weight_shape: see `from_pennylane`, as the next two.
        n_features: length of the vector of features.
        features: name of the argument that takes the features.
        embedding: what comes before the gates, instead of a template of PennyLane's that prepares a state.

    Raises:
        MissingExtraError: PennyLane is not installed.
        ArgumentError: a device without wires where `n_wires` is left out, or what `from_pennylane` and
            `CircuitArchitecture` refuse.
        CircuitError: nothing is measured, or what is no expectation value and no probabilities, or both.

    Example:
        >>> @qml.qnode(qml.device("default.qubit", wires=2))  # doctest: +SKIP
        ... def circuit(weights, x):
        ...     qml.AngleEmbedding(x, wires=[0, 1])
        ...     qml.StronglyEntanglingLayers(weights, wires=[0, 1])
        ...     return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))
        >>> model = classifier_from_pennylane(circuit, weight_shape=(2, 2, 3), n_features=2)  # doctest: +SKIP
    """
    qml = require("pennylane", "pennylane")
    n_wires = device_wires(qnode) if n_wires is None else n_wires
    circuit, measurements = read_function(qnode, n_wires, weight_shape, n_features, features)
    if not measurements:
        raise CircuitError(
            "Argument `qnode` must return what it measures, such as qml.expval(qml.Z(0)) or qml.probs(wires=[0]), but "
            "measures nothing. `from_pennylane` reads the gates alone."
        )
    kinds = [_kind(qml, each) for each in measurements]
    for each in measurements:
        _check_wires(each, n_wires)
    if kinds == ["probs"]:
        wires = tuple(measurements[0].wires.tolist()) or tuple(range(n_wires))
        return CircuitArchitecture(circuit, embedding, "probabilities", readout_wires=wires)
    if "probs" in kinds:
        raise CircuitError(
            "Argument `qnode` must return expectation values, or probabilities of one set of wires, but returns "
            f"{' and '.join(map(_named, measurements))}."
        )
    observables = tuple(_observable(each, number) for number, each in enumerate(measurements))
    readout: Literal["margin", "expectation"] = "margin" if len(observables) == 1 else "expectation"
    return CircuitArchitecture(circuit, embedding, readout, observables)


def device_wires(qnode: Any) -> int:
    """How many wires the device of a QNode has."""
    node = qnode.qnode if type(qnode).__name__ == "TorchLayer" else qnode
    wires = getattr(getattr(node, "device", None), "wires", None)
    if wires is None:
        raise ArgumentError(
            "Argument `n_wires` must be given for a function, or a QNode whose device has no number of wires, but was "
            "None."
        )
    return len(wires)


def _kind(qml: Any, measurement: Any) -> Literal["expval", "probs"]:
    """Which of the two it is that a classifier can read.

    Raises:
        CircuitError: it is neither.
    """
    if isinstance(measurement, qml.measurements.ExpectationMP) and measurement.obs is not None:
        return "expval"
    if isinstance(measurement, qml.measurements.ProbabilityMP) and measurement.mv is None:
        if measurement.obs is None:
            return "probs"
        raise CircuitError(
            f"Argument `qnode` must return probabilities of wires, but returns {_named(measurement)}. Turn to the "
            "basis of the observable by gates, and return qml.probs(wires=...)."
        )
    raise CircuitError(
        f"Argument `qnode` must return expectation values or probabilities, but returns {_named(measurement)}. A "
        "classifier is trained by gradients of these; shots are an option of the training."
    )


def _check_wires(measurement: Any, n_wires: int) -> None:
    known = range(n_wires)
    if any(type(wire) is not int or wire not in known for wire in measurement.wires.tolist()):
        raise CircuitError(
            f"Argument `qnode` must measure wires 0 to {n_wires - 1}, but returns {_named(measurement)}."
        )


def _named(measurement: Any) -> str:
    """A measurement as it is called in PennyLane, with what it measures."""
    called = type(measurement).__name__.removesuffix("MP")
    names = {"Expectation": "expval", "Probability": "probs", "Variance": "var", "DensityMatrix": "density_matrix"}
    of = measurement.obs if measurement.obs is not None else measurement.wires.tolist()
    return f"qml.{names.get(called, called.lower())} of {of}"


def _observable(measurement: Any, number: int) -> str:
    """What an expectation value is of, as text that `CircuitArchitecture` reads.

    Raises:
        CircuitError: it is no sum of Pauli strings with real numbers as coefficients.
    """
    observable = measurement.obs
    strings, coefficients = from_pennylane_observable(observable, what=f"Observable {number}, {observable},")
    return pauli_text(dict(zip(strings, coefficients.tolist(), strict=True)))
