"""Every public entrance that takes numbers computes in floating point, whatever the type that they come in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdistill.backends.pennylane import to_pennylane
from qdistill.backends.qiskit import to_qiskit
from qdistill.data import FittedChain
from qdistill.data.fitted import Standardised
from qdistill.data.transforms import Rescale, fit_chain
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.losses import cross_entropy
from qdistill.distill.measuring import measure
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import ConvPool, Dense, LeNetArchitecture, PooledDense, Quanvolution, predict, with_weights
from qdistill.models.model import named_weights
from qdistill.numbers import complex_numpy, integers, real, real_numpy, real_or_complex
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    DeviceModel,
    Execution,
    Hermitian,
    NoEmbedding,
    Operation,
    PauliSum,
    PauliZ,
    QuantumLayer,
    apply,
    constant,
    embedded_features,
    expectation_values,
    feature,
    on_device,
    on_each,
    pauli_compose,
    pauli_decompose,
    preparation_angles,
    probabilities,
    unitary,
    weight,
)

REAL = (
    *(np.dtype(f"{kind}int{bits}") for kind in ("", "u") for bits in (8, 16, 32, 64)),
    np.dtype(bool),
    *map(np.dtype, (np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.longdouble, ">f4", ">i2")),
)
COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))
KINDS: dict[str, Callable[[np.ndarray], Any]] = {"numpy": lambda array: array, "list": lambda array: array.tolist()}
KINDS["jax"] = lambda array: jnp.asarray(array) if array.dtype.isnative and array.dtype.char != "g" else array

WIRES = 2
CIRCUIT = Circuit(
    WIRES,
    (
        Operation("RX", (0,), (constant(np.pi / 3),)),
        Operation("RY", (0,), (weight(0),)),
        Operation("CNOT", (0, 1)),
        Operation("CRX", (1, 0), (weight(1),)),
        Operation("Rot", (1,), (feature(0), weight(2), feature(3))),
        Operation("RZ", (0,), (weight(3),)),
        Operation("H", (0,)),
    ),
)
Z = PauliZ(((0,), (1,)))
SUMS = ["Z0", ["X1", "Y0 Z1"], "Z0 Z1"]
WEIGHTS = np.array([0.3, -1.2, 2.0, 0.5])
DEVICE = DeviceModel.uniform(2, one_qubit_error=0.01, two_qubit_error=0.02, readout=(0.01, 0.02))


def layer(embedding: Any = None, weights: Any = WEIGHTS, observable: Any = Z) -> QuantumLayer:
    """A layer whose circuit reads features too, which amplitude embedding gives it."""
    return QuantumLayer(AmplitudeEmbedding(WIRES) if embedding is None else embedding, CIRCUIT, weights, observable)


def on_simulated_device(features: Any) -> Any:
    return on_device(layer(), Execution(DEVICE))(features)


def from_pennylane(values: Any, *, preparation: Any, part: str) -> Any:
    import pennylane as qml

    exported = to_pennylane(layer(observable=Hermitian(np.ones((1, 4)), ((0,),))), preparation=preparation)
    given = {"features": np.array([0.6, 0.0, 0.8, 0.3]), **exported.weights, part: values}
    if part == "coefficients":
        given[part] = jnp.reshape(values, (1, 4)) if isinstance(values, jax.Array) else np.reshape(values, (1, 4))
    return qml.QNode(exported.function, qml.device("default.qubit", wires=WIRES))(**given)[0]


def qiskit_values(values: Any, preparation: Any) -> Any:
    from qiskit.quantum_info import Statevector

    exported = to_qiskit(layer(), preparation=preparation)
    state = Statevector(exported.bound(values))
    return [state.expectation_value(observable).real for observable in exported.observables]


@cache
def lenet() -> Any:
    return LeNetArchitecture(width=4).build((8, 8, 1), 4, key=jax.random.key(0))


@cache
def dense() -> Dense:
    return Dense(4, 4, "xavier_normal", key=jax.random.key(0))


def x(values: Any) -> Any:
    """An input of 8x8 pixels in the values' own type."""
    if isinstance(values, list):
        return np.tile(np.array(values).reshape(2, 2, 1), (4, 4, 1)).tolist()
    return (jnp if isinstance(values, jax.Array) else np).tile(values.reshape(2, 2, 1), (4, 4, 1))


def row(values: Any) -> Any:
    return [values] if isinstance(values, list) else values[None]


def four_rows(values: Any) -> Any:
    return (
        [values] * 4
        if isinstance(values, list)
        else (jnp if isinstance(values, jax.Array) else np).tile(values, (4, 1))
    )


def pictures(values: Any) -> Any:
    """Four inputs of one pixel."""
    return [[[[value]]] for value in values] if isinstance(values, list) else values[:, None, None, None]


class Pixel(Dense):
    """A network of inputs of one pixel."""

    def __call__(self, x: Any) -> Any:
        return super().__call__(jnp.broadcast_to(x.reshape(-1), 4))


@cache
def single_pixel() -> Pixel:
    return Pixel(4, 4, "xavier_normal", key=jax.random.key(0))


def pixel() -> Pixel:
    """In the precision in force."""
    return jax.tree.map(lambda weights: weights.astype(jnp.result_type(float)), single_pixel())


CHAIN = FittedChain(255.0, (Standardised(jnp.array([0.25]), jnp.array([0.5])),))
SCHEDULE = np.array([[0, 1, 2, 3]])
INNER = InnerLoop(1, step_sizes="shared")


def trained(**given: Any) -> Any:
    data = {"inputs": np.ones((4, 1, 1, 1)), "labels": np.eye(4), "step_sizes": [[0.1]], "schedule": SCHEDULE} | given
    return train(pixel(), TrainingSet(**data), INNER).weight


def matched(inputs: Any, labels: Any) -> Any:
    data = TrainingSet(np.ones((4, 1, 1, 1)), np.eye(4), [[0.1]], SCHEDULE)
    return PerformanceMatching().value_and_gradient(data, pixel(), INNER, inputs, labels)[0]


ENTRANCES: dict[str, Callable[[Any], Any]] = {
    "layer": lambda v: layer()(v),
    "layer that reads features": lambda v: layer(NoEmbedding(2, 4))(v),
    "layer's weights": lambda v: layer(weights=v)(np.array([0.6, 0, 0.8, 0.1])),
    "layer's coefficients": lambda v: layer(observable=Hermitian(row(v), ((1,),)))(np.array([0.6, 0, 0.8, 0.1])),
    "sums' coefficients": lambda v: layer(observable=PauliSum(SUMS, v))(np.array([0.6, 0, 0.8, 0.1])),
    "sums' trained coefficients": lambda v: layer(observable=PauliSum(SUMS, v, trainable=True))(np.ones(4)),
    "amplitudes": lambda v: AmplitudeEmbedding(3).state(v),
    "angles": lambda v: AngleEmbedding(4).state(v),
    "no embedding": lambda v: NoEmbedding(2, 4).state(v),
    "preparation_angles": preparation_angles,
    "embedded_features": lambda v: embedded_features(AmplitudeEmbedding(3), CIRCUIT, v),
    "unitary": lambda v: unitary(CIRCUIT, v, v),
    "apply": lambda v: apply(CIRCUIT, WEIGHTS, v, np.zeros(4)),
    "expectation_values": lambda v: expectation_values(Z, v),
    "pauli_compose": pauli_compose,
    "on_device": on_simulated_device,
    "on_device's weights": lambda v: on_device(layer(weights=v), Execution(DEVICE))(np.array([0.6, 0, 0.8, 0.1])),
    "probabilities": lambda v: probabilities(layer(), Execution(DEVICE), v),
    "on_each": lambda v: on_each(layer(), row(v)),
    "to_pennylane": lambda v: from_pennylane(v, preparation="template", part="features"),
    "to_pennylane, gates": lambda v: from_pennylane(v, preparation="gates", part="features"),
    "to_pennylane's angles": lambda v: from_pennylane(v, preparation="gates", part="angles"),
    "to_pennylane's coefficients": lambda v: from_pennylane(v, preparation="template", part="coefficients"),
    "to_qiskit": lambda v: qiskit_values(v, "gates"),
    "to_qiskit, template": lambda v: qiskit_values(v, "template"),
    "LeNet": lambda v: lenet()(x(v)),
    "predict": lambda v: predict(lenet(), row(x(v))),
    "Dense": lambda v: dense()(v),
    "PooledDense": lambda v: PooledDense(Dense(2, 4, "xavier_normal", key=jax.random.key(0)), 2)(v),
    "ConvPool": lambda v: ConvPool(1, 2, 5, key=jax.random.key(0))(x(v)),
    "Quanvolution": lambda v: Quanvolution(1, key=jax.random.key(0))(x(v)),
    "with_weights": lambda v: with_weights(dense(), {**named_weights(dense()), "bias": v}).bias,
    "FittedChain": lambda v: CHAIN(pictures(v)),
    "fit_chain": lambda v: np.asarray(fit_chain((Rescale(0, 1),), pictures(v), 255.0).steps[0].maximum, float),
    "measure": lambda v: measure(pixel(), pictures(v), np.array([0, 1, 2, 3]), CHAIN)[1],
    "cross_entropy's logits": lambda v: cross_entropy(row(v), np.array([[0.1, 0.2, 0.3, 0.4]])),
    "cross_entropy's labels": lambda v: cross_entropy(np.array([[0.1, 0.2, 0.3, 0.4]]), row(v)),
    "training inputs": lambda v: trained(inputs=pictures(v)),
    "training labels": lambda v: trained(labels=four_rows(v)),
    "step sizes": lambda v: trained(step_sizes=row(v[:1])),
    "objective's inputs": lambda v: matched(pictures(v), np.eye(4)),
}  # fmt: skip


@st.composite
def numbers(draw: st.DrawFn) -> np.ndarray:
    """Four numbers of some type, not all zero."""
    dtype = draw(st.sampled_from(REAL))
    high = {"bool": 1, "int8": 120}.get(dtype.name, 250)
    low = 0 if dtype.kind in "ub" else -high
    values = draw(st.lists(st.integers(low, high), min_size=4, max_size=4).filter(any))
    return np.array(values).astype(dtype)


containers = st.sampled_from(list(KINDS.values()))
many = settings(max_examples=60, deadline=None)
few = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(array=numbers(), container=containers)
@many
def test_real_numbers_keep_their_values(array: np.ndarray, container: Callable[[np.ndarray], Any]) -> None:
    exact = array.astype(np.float64)
    for function in (real, real_or_complex):
        assert function("x", container(array)).dtype == np.float32
        np.testing.assert_array_equal(function("x", container(array)), exact)
        with jax.enable_x64(True):
            wide = function("x", container(array))
            kept = isinstance(container(array), list) or array.dtype.kind in "iub" or array.dtype.itemsize > 4
            assert wide.dtype == (np.float64 if kept else np.float32)
            np.testing.assert_array_equal(wide, exact)
    assert real_numpy("x", container(array)).dtype == np.float64
    np.testing.assert_array_equal(real_numpy("x", container(array)), exact)
    np.testing.assert_array_equal(complex_numpy("x", container(array)), exact)


def test_wide_integers_are_not_cut() -> None:
    np.testing.assert_array_equal(real("x", np.array([2**40, -(2**62)])), np.float32([2**40, -(2**62)]))
    np.testing.assert_array_equal(real("x", np.array([2**63], np.uint64)), np.float32([2**63]))


def test_what_is_float32_already_is_passed_on_as_it_is() -> None:
    array = jnp.ones(3)
    assert real("x", array) is array
    assert str(jax.make_jaxpr(lambda x: real("x", x))(array)).count("convert_element_type") == 0


REFUSED: dict[str, tuple[Any, str]] = {
    "complex": (np.array([1, 1j, 0, 0]), "must be real numbers, but was complex128"),
    "complex64": (jnp.array([1, 1j, 0, 0]), "must be real numbers, but was complex64"),
    "complex list": ([1.0, 1j, 0.0, 0.0], "must be real numbers, but was complex128"),
    "masked": (np.ma.array([1.0, 2, 3, 4], mask=[0, 1, 0, 0]), "must have no masked entries"),
    "text": (["1", "2", "3", "4"], "must be numbers, but was <U1"),
    "None": ([None, 1, 2, 3], "must be numbers, but was object"),
    "ragged": ([[1, 2], [3]], "must be an array of numbers"),
    "random key": (jax.random.key(0), "must be numbers, but was key<fry>"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_real_number_is_refused_by_name(kind: str) -> None:
    values, message = REFUSED[kind]
    for function in (real, real_numpy):
        with pytest.raises(ArgumentError, match=f"Argument `features` {message}"):
            function("features", values)


def test_a_masked_array_without_masked_entries_is_one_of_numbers() -> None:
    np.testing.assert_array_equal(real("x", np.ma.array([1, 2], mask=[False, False])), [1, 2])


def test_integers_are_not_rounded_from_other_numbers() -> None:
    assert integers("labels", np.array([1], np.uint8)).dtype == np.uint8
    for values in ([1.0], [True], [1j]):
        with pytest.raises(ArgumentError, match="Argument `labels` must be integers, but was"):
            integers("labels", values)


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype complex128:UserWarning")  # PennyLane, on JAX's arrays
@given(array=numbers(), container=containers)
@few
def test_entrances_compute_in_floating_point(
    entrance: str, array: np.ndarray, container: Callable[[np.ndarray], Any]
) -> None:
    call = ENTRANCES[entrance]
    with jax.enable_x64(True):
        expected = np.asarray(call(array.astype(np.float64)))
    actual = np.asarray(call(container(array)))
    assert expected.dtype in (np.float64, np.complex128)
    assert actual.dtype in (np.float32, np.float64, np.complex64, np.complex128)
    # Angles of up to 250 radians lose two of seven digits in float32.
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.usefixtures("unchecked")
def test_entrances_refuse_complex_and_masked_numbers(entrance: str) -> None:
    if entrance in ("apply", "expectation_values"):
        pytest.skip("states are complex")
    for values in (np.array([1, 1j, 0, 0]), jnp.array([1, 1j, 0, 0])):
        with pytest.raises(ArgumentError, match=r"must be real numbers, but was complex"):
            ENTRANCES[entrance](values)


@pytest.mark.parametrize("array", [np.array([200, 100], np.uint8), np.array([100, 50], np.int8)])
@pytest.mark.usefixtures("unchecked")
def test_squares_of_features_do_not_overflow(array: np.ndarray) -> None:
    values = QuantumLayer(AmplitudeEmbedding(1), Circuit(1), np.zeros(0), PauliZ(((0,),)))(array)
    np.testing.assert_allclose(values, [0.6], rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_integer_weights_do_not_cut_constants() -> None:
    circuit = Circuit(1, (Operation("RX", (0,), (constant(np.pi / 2),)), Operation("RZ", (0,), (weight(0),))))
    expected = np.array([[1, -1j], [-1j, 1]]) * np.sqrt(0.5)
    for weights in ([0], np.array([0]), jnp.array([0]), np.array([False])):
        np.testing.assert_allclose(unitary(circuit, weights), expected, atol=1e-6)
        layer = QuantumLayer(AmplitudeEmbedding(1), circuit, weights, PauliZ(((0,),)))
        np.testing.assert_allclose(layer([1, 0]), [0], atol=1e-6)


@pytest.mark.usefixtures("double_precision")
def test_the_widest_precision_decides() -> None:
    features, weights = np.array([0.6, 0, 0.8, 0.1]), WEIGHTS.astype(np.float32)
    wide = layer(weights=weights.astype(float))(features)
    assert wide.dtype == np.float64
    np.testing.assert_allclose(layer(weights=weights)(features), wide, rtol=1e-12)


def test_hermitian_matrices_of_integers_are_decomposed() -> None:
    for dtype in (np.int8, np.uint8, bool, np.float16, np.complex64):
        np.testing.assert_allclose(pauli_decompose(np.array([[1, 1], [1, 0]], dtype)), [0.5, 1, 0, 0.5])
    with pytest.raises(ArgumentError, match="differ by 255"):
        pauli_decompose(np.array([[0, 255], [0, 0]], np.uint8))


@pytest.mark.usefixtures("unchecked")
def test_the_batch_of_a_layer_is_asked_for_by_vmap() -> None:
    batch = np.ones((4, 4))
    calls: tuple[Callable[[Any], Any], ...] = (
        layer(), on_simulated_device, preparation_angles, AmplitudeEmbedding(2).state, AngleEmbedding(4).state,
        lambda v: probabilities(layer(), Execution(DEVICE), v), lambda v: qiskit_values(v, "gates"),
        lambda v: qiskit_values(v, "template"), lambda v: unitary(CIRCUIT, WEIGHTS, v), lambda v: unitary(CIRCUIT, v),
        lambda v: expectation_values(Z, v), lambda v: on_each(layer(), v[0]), lambda v: on_each(layer(), v[:0]),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(ArgumentError, match=r"must (be one vector|have a row for each vector).* shape"):
            call(batch)


def test_weights_may_have_the_shape_of_their_ansatz() -> None:
    np.testing.assert_array_equal(
        unitary(CIRCUIT, WEIGHTS.reshape(2, 2), np.zeros(4)), unitary(CIRCUIT, WEIGHTS, np.zeros(4))
    )


def test_labels_and_schedules_that_do_not_fit_are_refused() -> None:
    inputs, sizes = np.ones((4, 1, 1, 1)), [[0.1]]
    with pytest.raises(ArgumentError, match="`schedule` must be example numbers from 0 to 3, but reached from 0 to 4"):
        TrainingSet(inputs, np.eye(4), sizes, np.array([[0, 4]]))
    with pytest.raises(ArgumentError, match="`schedule` must be integers, but was bool"):
        TrainingSet(inputs, np.eye(4), sizes, np.array([[True, False]]))
    with pytest.raises(ArgumentError, match="`labels` must have a row for each of the 4 inputs"):
        TrainingSet(inputs, np.eye(3), sizes, SCHEDULE)
    with pytest.raises(ArgumentError, match=r"`labels` must have the shape \(4, 4\) of the logits"):
        cross_entropy(np.eye(4), np.arange(4))
    with pytest.raises(ArgumentError, match=r"`labels` must be one class number for each input.*\(4, 1\)"):
        measure(pixel(), inputs, np.zeros((4, 1), int), CHAIN)
    with pytest.raises(ArgumentError, match="`labels` must be integers, but was float64"):
        measure(pixel(), inputs, np.zeros(4), CHAIN)
