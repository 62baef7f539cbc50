"""The layer's three forms, its derivatives at special points, and how it is told its batch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import CircuitError
from qdistill.experiments.profile import PARTS
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    Embedding,
    Execution,
    FidelityKernel,
    Hermitian,
    Observable,
    Operation,
    PauliSum,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    choose_form,
    each_wire,
    feature,
    for_batch,
    make_observable,
    on_device,
    weight,
    with_key,
)
from qdistill.quantum.layer import SCOPE, Form, evaluate_in_form

from .components import coefficients_of, is_trained
from .reference import derivatives, quick_jit, relative_error

TURN = Circuit(1, (Operation("RY", (0,), (weight(0) * feature(0),)),))
FORMS: tuple[Form, ...] = ("states", "unitary", "heisenberg")


def make_layer(
    n_wires: int = 2, n_layers: int = 1, observable: Observable | None = None, embedding: Embedding | None = None
) -> QuantumLayer:
    """A layer with random weights and, unless given, a random Hermitian on every wire."""
    ansatz = StronglyEntangling(n_wires, n_layers)
    weights = np.random.default_rng(0).normal(size=ansatz.weight_shape).astype(np.float32)
    if observable is None:
        observable = make_observable("hermitian", each_wire(n_wires), key=jax.random.key(0))
    if embedding is None:
        embedding = AmplitudeEmbedding(n_wires)
    return QuantumLayer(embedding, ansatz.circuit(), jnp.asarray(weights), observable)


def with_arrays(layer: QuantumLayer, weights: jax.Array, coefficients: jax.Array) -> QuantumLayer:
    layer = eqx.tree_at(lambda tree: tree.weights, layer, weights)
    if is_trained(layer.observable):
        shape = layer.observable.coefficients.shape
        layer = eqx.tree_at(lambda tree: tree.observable.coefficients, layer, coefficients.reshape(shape))
    return layer


def hermitian(*wires: tuple[int, ...]) -> Observable:
    return make_observable("hermitian", wires, key=jax.random.key(1))


SUMS = [["X0 Y3", "Z1", "I"], ["Z0 Z1 Z2 Z3"], ["Y1 Y2 Z3", "X0 X1", "Y3"]]

# Four wires, so that the simulator's groups of wires are of unequal sizes.
FORM_CASES: dict[str, tuple[Observable, Embedding]] = {
    "hermitian": (hermitian((3,), (1,)), AngleEmbedding(4)),
    "two hermitians on one wire": (hermitian((2,), (1,), (2,)), AmplitudeEmbedding(4)),
    "hermitian on pairs": (hermitian((2, 0), (1, 3)), AmplitudeEmbedding(4)),
    "pauli_z": (PauliZ(((2,), (0,))), AmplitudeEmbedding(4)),
    "sums": (PauliSum(SUMS, np.linspace(-1, 2, 7), trainable=True), AmplitudeEmbedding(4)),
    "fixed sums of products of Z": (PauliSum([["Z0 Z3", "I"], "Z1"], [0.5, 0.5, -1]), AngleEmbedding(4)),
}


@pytest.mark.parametrize("case", FORM_CASES)
def test_all_forms_are_equal_to_second_order(case: str) -> None:
    observable, embedding = FORM_CASES[case]
    layer = make_layer(4, 1, observable, embedding)
    generator = np.random.default_rng(2)
    point = (
        np.asarray(layer.weights, float),
        generator.normal(size=(3, embedding.n_features)),
        coefficients_of(observable),
    )
    cotangent = generator.normal(size=3 * observable.n_outputs)

    def values(form: Form, weights: jax.Array, features: jax.Array, coefficients: jax.Array) -> jax.Array:
        moved = with_arrays(layer, weights, coefficients)
        return jax.vmap(lambda x: evaluate_in_form(moved, x, form))(features).ravel()

    with jax.enable_x64(True):
        arrays = jax.tree.map(jnp.asarray, (point, cotangent, point))
        results = {form: derivatives(partial(values, form), *arrays) for form in FORMS}
    for form in FORMS[1:]:
        for kind, expected in results["states"].items():
            for actual, exact in zip(results[form][kind], expected, strict=True):
                assert relative_error(actual, exact) < 1e-11, (form, kind)


def test_small_batches_run_on_states_and_large_ones_share_the_unitary() -> None:
    circuit = StronglyEntangling(6, 4).circuit()
    embedding = AmplitudeEmbedding(6)
    for observable in (PauliZ(each_wire(6)), Hermitian(jnp.zeros((6, 4)), each_wire(6))):
        assert choose_form(circuit, embedding, observable, 1) == "states"
        assert choose_form(circuit, embedding, observable, 10) == "states"
        assert choose_form(circuit, embedding, observable, 1024) in ("unitary", "heisenberg")
        forms = [choose_form(circuit, embedding, observable, 2**k) for k in range(14)]
        changes = [form for k, form in enumerate(forms) if k == 0 or form != forms[k - 1]]
        assert changes[0] == "states"
        assert len(changes) == len(set(changes)), "a form that was left comes back for a larger batch"


def test_deeper_circuits_share_the_unitary_at_no_larger_batches() -> None:
    observable = Hermitian(jnp.zeros((4, 4)), each_wire(4))

    def smallest_shared_batch(n_layers: int) -> int:
        circuit = StronglyEntangling(4, n_layers).circuit()
        batches = (2**k for k in range(20))
        return next(b for b in batches if choose_form(circuit, AmplitudeEmbedding(4), observable, b) != "states")

    thresholds = [smallest_shared_batch(n_layers) for n_layers in (1, 2, 4, 8)]
    assert thresholds == sorted(thresholds, reverse=True)


@pytest.mark.parametrize("batch", [1, 1024, 10**6])
def test_only_real_states_and_circuits_without_features_share_the_unitary(batch: int) -> None:
    circuit = StronglyEntangling(3, 2).circuit()
    reading = circuit.then([Operation("RX", (0,), (feature(0),))])
    observable = PauliZ(each_wire(3))
    for rotation in ("X", "Z"):
        assert choose_form(circuit, AngleEmbedding(3, rotation), observable, batch) == "states"
    assert choose_form(reading, AmplitudeEmbedding(3), observable, batch) == "states"
    if batch > 1000:
        for embedding in (AngleEmbedding(3), AmplitudeEmbedding(3)):
            assert choose_form(circuit, embedding, observable, batch) != "states"


SPECIAL = {
    "I": [1.0, 0.0, 0.0, 0.0],
    "X": [0.0, 1.0, 0.0, 0.0],
    "Y": [0.0, 0.0, 1.0, 0.0],
    "Z": [0.0, 0.0, 0.0, 1.0],
    "zero": [0.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("form", FORMS)
def test_special_hermitians_have_finite_derivatives(form: Form) -> None:
    layer = make_layer(n_wires=2)
    hermitians = np.array(list(SPECIAL.values()), np.float32)
    # Zero weights and zero features are where angles and norms could go wrong too.
    weights = jnp.stack([layer.weights, 0 * layer.weights])
    features = jnp.array([[0.5, -1.0, 2.0, 0.1], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])

    @quick_jit
    @partial(jax.vmap, in_axes=(None, None, 0))
    @partial(jax.vmap, in_axes=(None, 0, None))
    @partial(jax.vmap, in_axes=(0, None, None))
    def all_orders(weights: jax.Array, features: jax.Array, hermitian: jax.Array) -> Any:
        def values(parts: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            return evaluate_in_form(with_arrays(layer, parts[0], parts[2]), parts[1], form)

        point = (weights, features, jnp.stack([hermitian, hermitian]))
        return values(point), jax.jacrev(values)(point), jax.jacfwd(jax.jacrev(values))(point)

    values, slopes, curvatures = all_orders(weights, features, hermitians)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((values, slopes, curvatures)))
    by_name = dict(zip(SPECIAL, np.asarray(values), strict=True))
    np.testing.assert_allclose(by_name["I"][[0, 2]], 1.0, atol=1e-5)
    np.testing.assert_allclose(by_name["I"][1], 0.0)
    np.testing.assert_array_equal(by_name["zero"], 0.0)
    pauli_z = make_layer(n_wires=2, observable=PauliZ(each_wire(2)))
    np.testing.assert_allclose(by_name["Z"][0, 0], pauli_z(features[0]), atol=1e-5)


@pytest.mark.parametrize("sums", [False, True])
def test_gradient_is_the_parameter_shift_rule(sums: bool, double_precision: None) -> None:
    layer = make_layer(3, 2, PauliSum([["X0 Y2", "Z1", "I"], "Z0 Z1 Z2"], [0.5, 2, 1, -1]) if sums else None)
    weights = jnp.asarray(np.asarray(layer.weights, float))
    features = jnp.asarray(np.random.default_rng(1).normal(size=8))

    def total(weights: jax.Array) -> jax.Array:
        return jnp.sum(eqx.tree_at(lambda tree: tree.weights, layer, weights)(features))

    shifts = (np.pi / 2 * jnp.eye(weights.size)).reshape(weights.size, *weights.shape)

    @quick_jit
    def both(weights: jax.Array) -> tuple[jax.Array, jax.Array]:
        shifted = jax.vmap(total)(weights + shifts) - jax.vmap(total)(weights - shifts)
        return jax.grad(total)(weights).ravel(), shifted / 2

    gradient, by_shifts = both(weights)
    assert relative_error(gradient, by_shifts) < 1e-10


def test_the_gradient_by_the_coefficients_of_sums_is_their_strings_values(double_precision: None) -> None:
    layer = make_layer(4, 1, FORM_CASES["sums"][0])
    features = jnp.asarray(np.random.default_rng(1).normal(size=16))

    def values(coefficients: jax.Array) -> jax.Array:
        return with_arrays(layer, layer.weights, coefficients)(features)

    coefficients = jnp.asarray(coefficients_of(layer.observable))
    jacobian = quick_jit(jax.jacrev(values))(coefficients)
    apart = [string for strings in layer.observable.terms for string in strings]
    strings = replace(layer, observable=PauliSum([[string] for string in apart]))(features)
    outputs = [output for output, strings in enumerate(layer.observable.terms) for _ in strings]
    expected = np.eye(3)[outputs].T * np.asarray(strings)
    np.testing.assert_allclose(jacobian, expected, atol=1e-12)
    np.testing.assert_allclose(jacobian @ coefficients, values(coefficients), atol=1e-12)


def test_features_enter_the_circuit_as_well_as_the_state() -> None:
    circuit = Circuit(1, (Operation("RY", (0,), (feature(0),)), Operation("RX", (0,), (weight(0),))))
    layer = QuantumLayer(AngleEmbedding(1), circuit, jnp.zeros(1), PauliZ(((0,),)))
    # The embedding turns by x and the circuit by x again.
    np.testing.assert_allclose(layer(jnp.array([0.4])), np.cos([0.8]), atol=1e-6)
    two = circuit.then([Operation("RY", (0,), (feature(1),))])
    with pytest.raises(CircuitError, match="`features` must have at least 2 entries, but had 1"):
        QuantumLayer(AngleEmbedding(1), two, jnp.zeros(1), PauliZ(((0,),)))(jnp.zeros(1))


def test_layers_are_arguments_of_jit_and_compile_once() -> None:
    layer = make_layer()
    other = make_layer(observable=make_observable("hermitian", each_wire(2), key=jax.random.key(9)))
    features = jnp.array([0.1, 0.2, 0.3, 0.4])
    traced = []

    @quick_jit
    def compiled(tree: QuantumLayer, x: jax.Array) -> jax.Array:
        traced.append(tree)
        return tree(x)

    for each in (layer, other):
        np.testing.assert_allclose(compiled(each, features), each(features), atol=1e-6)
    assert len(traced) == 1


def test_untrainable_gives_the_same_values_and_no_gradients() -> None:
    layer, features = make_layer(), jnp.array([0.1, 0.2, 0.3, 0.4])

    @quick_jit
    def everything(layer: QuantumLayer, x: jax.Array) -> Any:
        def scalar(layer: QuantumLayer, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            values = layer(x)
            return values[0] - 2 * values[1], values

        return jax.grad(scalar, argnums=(0, 1), has_aux=True)(layer, x)

    (of_layer, of_features), values = everything(layer, features)
    (of_frozen, of_same_features), same_values = everything(replace(layer, trainable=False), features)
    np.testing.assert_allclose(same_values, values, atol=1e-6)
    np.testing.assert_allclose(of_same_features, of_features, atol=1e-6)
    assert all(leaf.any() for leaf in jax.tree.leaves(of_layer))
    assert not any(leaf.any() for leaf in jax.tree.leaves(of_frozen))


def test_for_batch_reaches_every_layer() -> None:
    layer = make_layer()
    tree = {"a": [layer, (layer, None)], "b": jnp.ones(3), "c": "text", "d": eqx.nn.Lambda(layer)}
    told = for_batch(tree, 64)
    layers = [told["a"][0], told["a"][1][0], told["d"].fn]
    assert [each.batch for each in layers] == [64, 64, 64]
    assert layer.batch == 1
    assert told["a"][1][1] is None
    assert told["b"] is tree["b"]
    assert told["c"] == "text"
    assert for_batch(layer, 64) == replace(layer, batch=64)
    assert for_batch(tree["b"], 64) is tree["b"]


def test_batches_are_not_empty() -> None:
    with pytest.raises(CircuitError, match="`batch` must be at least 1, but was 0"):
        for_batch(make_layer(), 0)
    layer = make_layer()
    with pytest.raises(CircuitError, match="`batch` must be at least 1, but was -1"):
        QuantumLayer(layer.embedding, layer.circuit, layer.weights, layer.observable, batch=-1)


def test_form_follows_the_batch() -> None:
    layer = make_layer(6, 4)
    assert layer.form == "states"
    assert for_batch(layer, 1024).form in ("unitary", "heisenberg")
    assert layer.n_outputs == 6


def test_weights_have_any_shape() -> None:
    layer = make_layer()
    flat = QuantumLayer(layer.embedding, layer.circuit, layer.weights.ravel(), layer.observable)
    features = jnp.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(flat(features), layer(features))


def test_parts_must_belong_together() -> None:
    layer = make_layer()
    with pytest.raises(CircuitError, match="`embedding` must be for the circuit's 2 wires, but was for 3"):
        QuantumLayer(AmplitudeEmbedding(3), layer.circuit, layer.weights, layer.observable)
    with pytest.raises(CircuitError, match=r"`weights` must have 6 entries, but had shape \(5,\)"):
        QuantumLayer(layer.embedding, layer.circuit, jnp.zeros(5), layer.observable)
    for wire in (2, -1):
        with pytest.raises(CircuitError, match="`observable` must be on wires 0 to 1, but was on"):
            QuantumLayer(layer.embedding, layer.circuit, layer.weights, PauliZ(((0,), (wire,))))
    with pytest.raises(CircuitError, match=r"`features` must be at most 2\*\*n_wires = 4 values .* was 5 values"):
        layer(jnp.ones(5))


def test_a_profile_can_tell_the_operations_of_layers_and_kernels() -> None:
    layer, x = QuantumLayer(AngleEmbedding(1), TURN, jnp.ones(1), PauliZ(((0,),))), jnp.ones(1)
    kernel = FidelityKernel(TURN, jnp.ones(1))
    noisy = with_key(on_device(layer, Execution(shots=2)), jax.random.key(0))
    calls = (layer, noisy, lambda x: kernel(x[None], x[None]), lambda x: kernel.gram(x[None]))
    for call in calls:
        program = jax.jit(lambda x, call=call: call(x)).lower(x).as_text(debug_info=True)
        assert f"/{SCOPE}/" in program
        assert SCOPE in PARTS
