"""A circuit as the whole model, against PennyLane, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

from qdistill.errors import ArgumentError
from qdistill.models import (
    CircuitArchitecture,
    CircuitClassifier,
    architecture_from_json,
    architecture_to_json,
    named_weights,
    predict,
    with_weights,
)
from qdistill.quantum import (
    Circuit,
    DeviceModel,
    Execution,
    Operation,
    QuantumLayer,
    StronglyEntangling,
    feature,
    layer_calls,
    on_device,
    takes_shots,
    weight,
    wires_needed,
    with_key,
)

READS = Circuit(
    3,
    (
        *(Operation("RY", (w,), (feature(w),)) for w in range(3)),
        *(Operation("RX", (w,), (weight(w) * feature(w) + weight(w + 3),)) for w in range(3)),
        Operation("CNOT", (0, 1)),
        Operation("CNOT", (1, 2)),
        Operation("RY", (2,), (weight(6),)),
        Operation("CNOT", (2, 0)),
    ),
)
"""Reads three inputs and seven weights."""

ANSATZ = StronglyEntangling(3, 1).circuit()
"""Reads weights alone."""

OWN = ("Z0", "0.5 * X0 Y2 - Z1 + 0.25", "Y1 Z2")


def reads(x, w):
    for wire in range(3):
        qml.RY(x[wire], wire)
    for wire in range(3):
        qml.RX(w[wire] * x[wire] + w[wire + 3], wire)
    qml.CNOT([0, 1])
    qml.CNOT([1, 2])
    qml.RY(w[6], 2)
    qml.CNOT([2, 0])


def entangles(w):
    qml.StronglyEntanglingLayers(np.reshape(w, (1, 3, 3)), range(3))


def angle(x, w):
    qml.AngleEmbedding(x, range(3), rotation="Y")
    entangles(w)


def amplitude(x, w):
    qml.AmplitudeEmbedding(x, range(3), pad_with=0.0, normalize=True)
    entangles(w)


Z = [qml.Z(0), qml.Z(1), qml.Z(2)]
OBSERVABLES = [qml.Z(0), 0.5 * qml.X(0) @ qml.Y(2) - qml.Z(1) + 0.25 * qml.I(0), qml.Y(1) @ qml.Z(2)]

TABLE = {
    "Z on each wire": (CircuitArchitecture(READS), reads, Z, 3),
    "factors": (CircuitArchitecture(READS, input_scaling="feature", output_scaling="class"), reads, Z, 3),
    "one factor": (CircuitArchitecture(READS, input_scaling="shared", output_scale=4.0), reads, Z, 3),
    "fewer classes": (CircuitArchitecture(READS, output_scaling="none", output_scale=-2.0), reads, Z[:2], 2),
    "observables": (CircuitArchitecture(READS, observables=OWN), reads, OBSERVABLES, 3),
    "trained sums": (CircuitArchitecture(READS, observables=OWN, trained_observables=True), reads, OBSERVABLES, 3),
    "a margin": (CircuitArchitecture(READS, readout="margin"), reads, Z[:1], 2),
    "one's own margin": (CircuitArchitecture(READS, "none", "margin", OWN[1:2]), reads, OBSERVABLES[1:2], 2),
    "probabilities": (CircuitArchitecture(READS, readout="probabilities"), reads, [0, 1], 3),
    "of these wires": (CircuitArchitecture(READS, readout="probabilities", readout_wires=(2, 0)), reads, [2, 0], 4),
    "angles": (CircuitArchitecture(ANSATZ, "angle"), angle, Z, 3),
    "two angles": (CircuitArchitecture(ANSATZ, "angle", distribution="normal"), angle, Z, 3),
    "amplitudes": (CircuitArchitecture(ANSATZ, "amplitude", input_scaling="feature"), amplitude, Z, 3),
}  # fmt: skip
"""Each with the same circuit in PennyLane, the observables or the wires of probabilities, and the number of classes."""

N_INPUTS = {"two angles": 2, "amplitudes": 6}


@pytest.mark.parametrize("name", TABLE)
def test_logits_are_pennylanes(name):
    architecture, circuit, measured, n_classes = TABLE[name]
    n_inputs = N_INPUTS.get(name, 3)
    model = architecture.build((n_inputs,), n_classes, key=jax.random.key(0))
    factors = {"input_scale", "output_scale", "layer.weights"}
    drawn = {n: jax.random.normal(jax.random.key(3), w.shape) for n, w in named_weights(model).items() if n in factors}
    model = with_weights(model, named_weights(model) | drawn)
    inputs = np.random.default_rng(0).normal(size=(4, n_inputs)).astype(np.float32)

    @qml.qnode(qml.device("default.qubit", wires=3))
    def node(x, w):
        circuit(x, w)
        if architecture.readout == "probabilities":
            return qml.probs(measured)
        return [qml.expval(each) for each in measured]

    before, after = (
        np.asarray(drawn.get("input_scale", 1)),
        np.asarray(drawn.get("output_scale", architecture.output_scale)),
    )
    values = np.array([np.ravel(node(x * before, np.asarray(drawn["layer.weights"]))) for x in inputs])[:, :n_classes]
    values = values * after
    expected = np.hstack([-values / 2, values / 2]) if architecture.readout == "margin" else values
    np.testing.assert_allclose(predict(model, inputs), expected, atol=2e-6)


def test_coefficients_of_observables_are_trained_where_wanted():
    for observables in (OWN, ("Z0", "Z1", "2 * Z2")):
        architecture = CircuitArchitecture(READS, observables=observables, trained_observables=True)
        model = architecture.build((3,), 3, key=jax.random.key(0))
        shapes = {name: weight.shape for name, weight in named_weights(model).items()}
        assert {name: shapes[name] for name in architecture.known_shapes()} == architecture.known_shapes()
        slopes = named_weights(jax.grad(lambda m: jnp.sum(m(jnp.arange(1.0, 4)) ** 2))(model))
        assert np.any(np.asarray(slopes["layer.observable.coefficients"]))
    fixed = CircuitArchitecture(READS, observables=OWN).build((3,), 3, key=jax.random.key(0))
    assert "layer.observable.coefficients" not in named_weights(fixed)
    with pytest.raises(ArgumentError, match="`trained_observables` must be False without `observables`"):
        CircuitArchitecture(READS, trained_observables=True)


@pytest.mark.parametrize("name", ["factors", "observables", "a margin", "probabilities", "amplitudes"])
def test_all_is_trained_but_the_observables(name):
    architecture, _, _, n_classes = TABLE[name]
    model = architecture.build((3,), n_classes, key=jax.random.key(0))
    slopes = named_weights(jax.grad(lambda m: jnp.sum(m(jnp.arange(1.0, 4)) ** 2))(model))
    trained = {name for name, slope in slopes.items() if np.any(np.asarray(slope))}
    assert trained == set(slopes) & {"layer.weights", "input_scale", "output_scale"}


def test_images_are_read_in_c_order():
    flat = CircuitArchitecture(ANSATZ, "amplitude").build((6,), 2, key=jax.random.key(0))
    square = CircuitArchitecture(ANSATZ, "amplitude").build((3, 2, 1), 2, key=jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (3, 2, 1))
    assert np.array_equal(square(x), flat(x.reshape(-1)))


def test_initial_weights_have_the_distribution():
    many = Circuit(1, tuple(Operation("RX", (0,), (weight(i) * feature(0),)) for i in range(4000)))

    def drawn(**fields):
        return np.asarray(CircuitArchitecture(many, **fields)._initial_weights(jax.random.key(0)))

    for spread, uniform in ((2 * math.pi, drawn()), (0.5, drawn(spread=0.5))):
        assert uniform.min() >= 0
        assert spread * 0.99 < uniform.max() < spread
        assert abs(uniform.mean() / spread - 0.5) < 0.02
    for spread, normal in ((1, drawn(distribution="normal")), (0.1, drawn(distribution="normal", spread=0.1))):
        assert abs(normal.std() / spread - 1) < 0.05
        assert abs(normal.mean() / spread) < 0.06


def test_it_is_a_module_like_any_other():
    architecture = CircuitArchitecture(READS, input_scaling="feature")
    model = architecture.build((3,), 2, key=jax.random.key(0))
    assert list(named_weights(model)) == ["layer.weights", "input_scale", "output_scale"]
    assert named_weights(model)["layer.weights"].shape == architecture.known_shapes()["layer.weights"]
    assert wires_needed(model) == 3
    (call,) = layer_calls(model, (3,))
    assert (call.vectors, call.by_features) == (1, True)
    (call,) = layer_calls(CircuitArchitecture(READS).build((3,), 2, key=jax.random.key(0)), (3,))
    assert (call.vectors, call.by_features) == (1, False)
    x, exact = jnp.ones(3), model(jnp.ones(3))
    shots = on_device(model, Execution(shots=20_000))
    assert takes_shots(shots)
    np.testing.assert_allclose(with_key(shots, jax.random.key(1))(x), exact, atol=0.03)
    assert not np.array_equal(with_key(shots, jax.random.key(1))(x), exact)
    noisy = on_device(model, Execution(DeviceModel.uniform(3, one_qubit_error=0.01, two_qubit_error=0.1)))
    assert np.abs(noisy(x)).max() < np.abs(exact).max()


@pytest.mark.parametrize("name", TABLE)
def test_fields_come_back_from_json(name):
    architecture = TABLE[name][0]
    assert architecture_from_json(json.loads(json.dumps(architecture_to_json(architecture)))) == architecture


def test_probabilities_are_fidelities_unless_they_are_scaled():
    probabilities = CircuitArchitecture(READS, readout="probabilities", output_scaling="none")
    assert probabilities.gives_fidelities
    for changes in ({"output_scaling": "shared"}, {"output_scale": 2.0}, {"readout": "expectation"}):
        assert not dataclasses.replace(probabilities, **changes).gives_fidelities


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"circuit": ANSATZ}, r"`circuit` must read features where `embedding` is 'none'"),
        (
            {"circuit": Circuit(1, (Operation("RX", (0,), (feature(0),)),)), "output_scaling": "none"},
            "nothing would be",
        ),
        ({"embedding": "angle", "circuit": Circuit(1, (Operation("RX", (0,), (feature(1),)),))}, r"at most the 1 feat"),
        ({"embedding": "amplitude", "input_scaling": "shared"}, r"`input_scaling` must not be 'shared'"),
        ({"embedding": "basis"}, r"`embedding` must be one of amplitude, angle, none, but was 'basis'"),
        (
            {"readout": "probabilities", "observables": ("Z0",)},
            r"`observables` must be left out with the readout 'prob",
        ),
        ({"readout_wires": (0,)}, r"`readout_wires` must be left out with the readout 'expectation'"),
        ({"readout": "margin", "observables": ("Z0", "Z1")}, r"`observables` must be one for the readout 'margin'"),
        ({"observables": ("Z3",)}, r"`observables` must be on wires 0 to 2 of the circuit, but one is on wire 3"),
        ({"observables": ("Q",)}, r"`observables` must be sums of Pauli strings such as 'Z0'"),
        ({"readout": "probabilities", "readout_wires": (0, 3)}, r"`readout_wires` must be on wires 0 to 2"),
        ({"readout": "probabilities", "readout_wires": (0, -1)}, r"`readout_wires` must be on wires 0 to 2"),
        ({"readout": "probabilities", "readout_wires": (1, 1)}, r"`readout_wires` must be different wires"),
        ({"spread": -1.0}, r"`spread` must be at least 0, but was -1.0"),
        ({"spread": math.nan}, r"`spread` must be finite"),
        ({"output_scale": 0.0}, r"`output_scale` must not be 0"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message, unchecked):
    with pytest.raises(ArgumentError, match=message):
        CircuitArchitecture(**{"circuit": READS} | fields)


@pytest.mark.parametrize(
    ("fields", "shape", "n_classes", "message"),
    [
        ({}, (2,), 2, r"`input_shape` must be of 3 numbers that the circuit reads, but was \(2,\), which is 2"),
        (
            {},
            (2, 2, 1),
            2,
            r"`input_shape` must be of 3 numbers that the circuit reads, but was \(2, 2, 1\), which is 4",
        ),
        ({"circuit": ANSATZ, "embedding": "angle"}, (4,), 2, r"from 1 to 3 numbers for the embedding 'angle'"),
        ({"circuit": ANSATZ, "embedding": "amplitude"}, (9,), 2, r"from 1 to 8 numbers for the embedding 'amplitude'"),
        ({}, (3,), 4, r"`readout` must not be 'expectation' without `observables` for 4 classes on 3 wires"),
        ({"observables": ("Z0", "Z1")}, (3,), 3, r"`observables` must be one for each of the 3 classes, but was 2"),
        ({"observables": ("Z0", "Z1")}, (3,), 1, r"`observables` must be one for each of the 1 classes, but was 2"),
        ({"readout": "margin"}, (3,), 3, r"`readout` must not be 'margin' for 3 classes"),
        (
            {"readout": "probabilities", "readout_wires": (0,)},
            (3,),
            3,
            r"at least as many basis states as the 3 classes",
        ),
        (
            {"readout": "probabilities"},
            (3,),
            9,
            r"at least as many basis states as the 9 classes, but there are 8 on 3",
        ),
        ({}, (3,), 1, r"`n_classes` must be at least 2, but was 1"),
        ({"observables": ("Z0",)}, (3,), 1, r"`n_classes` must be at least 2, but was 1"),
        ({"readout": "probabilities"}, (3,), 0, r"`n_classes` must be at least 2, but was 0"),
    ],
)
def test_data_that_does_not_fit_is_refused(fields, shape, n_classes, message):
    with pytest.raises(ArgumentError, match=message):
        CircuitArchitecture(**{"circuit": READS} | fields).build(shape, n_classes, key=jax.random.key(0))


def test_an_input_of_another_shape_is_refused():
    model = CircuitArchitecture(READS).build((3,), 2, key=jax.random.key(0))
    assert isinstance(model, CircuitClassifier)
    assert isinstance(model.layer, QuantumLayer)
    with pytest.raises(ArgumentError, match=r"`x` must be one input of shape \(3,\), but had shape \(4,\)"):
        model(jnp.ones(4))
    with pytest.raises(ArgumentError, match=r"but had shape \(2, 3\).*predict"):
        model(jnp.ones((2, 3)))
