"""Values, gradients and Hessian-vector products against PennyLane's default.qubit, by JAX in double precision.

Errors are relative to the largest entry of what is compared: the values, or the derivatives by the weights, by
the features or by the coefficients of the observable.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Hermitian,
    QuantumLayer,
    StronglyEntangling,
    each_wire,
)

from .components import ANSATZE, COMBINATIONS, EMBEDDINGS, coefficients_of, is_trained
from .reference import (
    derivatives,
    pennylane_values,
    queue_circuit,
    quick_jit,
    random_circuit,
    relative_error,
    term_matrices,
)

BY = ("by the weights", "by the features", "by the coefficients")
PARTS = {"value": ("itself",), "gradient": BY, "hessian_vector": BY}
SINGLE = {"value": 1e-5, "gradient": 5e-5, "hessian_vector": 2e-4}
DOUBLE = dict.fromkeys(SINGLE, 1e-10)


def compare(
    layer: QuantumLayer,
    features: np.ndarray,
    body: Callable[[Any, Any], None],
    jit: Callable[..., Any] = quick_jit,
) -> None:
    """Hold a layer equal to a PennyLane quantum function of weights and features.

    Args:
        layer: what is tested; its weights and coefficients are the point of comparison.
        features: one feature vector.
        body: queues the same operations, the embedding included.
        jit: how the layer is compiled in single precision.
    """
    trained = is_trained(layer.observable)
    generator = np.random.default_rng(7)
    coefficients = coefficients_of(layer.observable)
    point = (np.asarray(layer.weights, float), features.astype(float), coefficients)
    tangents = tuple(generator.normal(size=p.shape).astype(np.float32).astype(float) for p in point)
    if not trained:
        tangents = (*tangents[:2], np.zeros_like(coefficients))
    cotangent = generator.normal(size=layer.n_outputs).astype(np.float32).astype(float)

    def with_parts(weights: jax.Array, x: jax.Array, coefficients: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda tree: tree.weights, layer, weights)
        if trained or isinstance(layer.observable, Hermitian):
            shape = layer.observable.coefficients.shape
            moved = eqx.tree_at(lambda tree: tree.observable.coefficients, moved, coefficients.reshape(shape))
        return moved(x)

    def of(function: Callable[..., jax.Array], **options: Any) -> dict[str, list[np.ndarray]]:
        arrays = jax.tree.map(jnp.asarray, (point, cotangent, tangents))
        return derivatives(function, *arrays, **options)

    with jax.enable_x64(True):
        n_wires = layer.circuit.n_wires
        reference = pennylane_values(n_wires, term_matrices(layer.observable, n_wires), body)
        # Operation by operation, which compiles each shape once for all tests, is faster than any jit here.
        expected = of(reference, jit=lambda function: function)
        double = of(with_parts)
    single = of(with_parts, jit=jit)

    for results, tolerances in ((single, SINGLE), (double, DOUBLE)):
        for kind, tolerance in tolerances.items():
            for part, actual, exact in zip(PARTS[kind], results[kind], expected[kind], strict=True):
                if part == "by the coefficients" and not trained:
                    assert not actual.any()
                    continue
                error = relative_error(actual, exact)
                assert error < tolerance, f"{kind} {part}, {actual.dtype}: {error:.1e}"


@pytest.mark.parametrize("name", COMBINATIONS)
def test_components(name: str) -> None:
    combination = COMBINATIONS[name]
    layer = combination.layer(n_layers=1)

    def body(weights: Any, features: Any) -> None:
        EMBEDDINGS[combination.embedding].pennylane(features, layer.circuit.n_wires)
        ANSATZE[combination.ansatz].pennylane(weights, layer.circuit.n_wires)

    compare(layer, combination.features(1)[0], body)


@pytest.mark.parametrize(("seed", "embedding"), [(0, "amplitude"), (1, "angle_y")])
def test_random_circuits_that_read_features(seed: int, embedding: str) -> None:
    circuit = random_circuit(random.Random(seed), 3, 12, n_weights=5, n_features=3)
    generator = np.random.default_rng(seed)
    weights, features, coefficients = (
        generator.normal(size=shape).astype(np.float32) for shape in (circuit.n_weights, 3, (2, 16))
    )
    layer = QuantumLayer(
        AmplitudeEmbedding(3) if embedding == "amplitude" else AngleEmbedding(3),
        circuit,
        jnp.asarray(weights),
        Hermitian(jnp.asarray(coefficients), ((1, 0), (0, 2))),
    )

    def body(weights: Any, features: Any) -> None:
        EMBEDDINGS[embedding].pennylane(features, 3)
        queue_circuit(circuit, weights, features)

    compare(layer, features, body)


def test_six_wires_four_layers() -> None:
    ansatz = StronglyEntangling(6, 4)
    generator = np.random.default_rng(0)
    weights, features, coefficients = (
        generator.normal(size=shape).astype(np.float32) for shape in (ansatz.weight_shape, 64, (6, 4))
    )
    layer = QuantumLayer(
        AmplitudeEmbedding(6),
        ansatz.circuit(),
        jnp.asarray(weights),
        Hermitian(jnp.asarray(coefficients), each_wire(6)),
    )

    def body(weights: Any, features: Any) -> None:
        EMBEDDINGS["amplitude"].pennylane(features, 6)
        ANSATZE["strongly_entangling"].pennylane(weights, 6)

    # The usual compilation, for its rearrangements are part of the rounding that users see.
    compare(layer, features, body, jit=jax.jit)
