"""The hybrid of LeNet and a quantum layer (arXiv 2503.17935), with the ablations as fields.

LeNet's features -> [quantum branch] -> skip -> F3 -> logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes
from qdistill.models.layers import Dense, Initialiser
from qdistill.models.lenet import Activation, LeNetFeatures
from qdistill.models.quanvolution import PATCH
from qdistill.numbers import Numbers, real
from qdistill.quantum import (
    AnsatzName,
    Circuit,
    NoisyLayer,
    QuantumLayer,
    check_wires,
    make_observable,
    named_ansatz,
    named_embedding,
    neighbours,
)


class PooledDense(eqx.Module):
    """A dense layer with about as many parameters as a quantum layer: the control in its place.

    The features are averaged in as many equal groups as the parameter budget allows, then mapped to the
    outputs by one affine map.
    """

    dense: Dense
    n_groups: int = eqx.field(static=True)

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        """The outputs for one feature vector."""
        groups = jnp.array_split(real("features", features), self.n_groups)
        return self.dense(jnp.stack([jnp.mean(group) for group in groups]))


class QuantumLeNet(eqx.Module):
    """The hybrid network.

    Args:
        features: image -> features.
        branch: the quantum layer, as it is or on a device, its classical control, or None where it is removed.
        projection: features -> as many values as the branch has outputs, for ``skip="projection"``.
        f3: the last dense layer.
        skip: how the branch's outputs and the features meet: ``"pad"`` adds the outputs, zero-padded, to the
            features; ``"projection"`` adds a learned projection of the features to the outputs; ``"none"``
            takes the outputs alone.
    """

    features: LeNetFeatures
    branch: QuantumLayer | NoisyLayer | PooledDense | None
    projection: Dense | None
    f3: Dense
    skip: Literal["pad", "projection", "none"] = eqx.field(static=True)

    def __call__(self, image: Numbers) -> Float[Array, " classes"]:
        """The logits of one image, (height, width, channels) of real numbers."""
        values = self.last_features(image)
        with jax.named_scope("dense"):
            return self.f3(values)

    def last_features(self, image: Numbers) -> Float[Array, " features"]:
        """What F3 reads of one image."""
        features = self.features(image)
        with jax.named_scope("branch"):
            outputs = None if self.branch is None else self.branch(features)
        with jax.named_scope("dense"):
            return self._meet(features, outputs)

    def _meet(self, features: Float[Array, " features"], outputs: Float[Array, " outputs"] | None) -> Array:
        """What F3 sees of the features and the branch's outputs."""
        if outputs is None:
            return features if self.projection is None else self.projection(features)
        if self.skip == "pad":
            return features + jnp.pad(outputs, (0, features.size - outputs.size))
        return outputs if self.projection is None else self.projection(features) + outputs


@dataclass(frozen=True)
class QuantumLeNetArchitecture:
    """The quantum LeNet of arXiv 2503.17935 and its ablations.

    Args:
        observable: Pauli-Z on every wire, or a Hermitian on every wire whose Pauli coefficients are trained,
            or stay as they were drawn.
        observable_wires: number of neighbouring wires k that each Hermitian is on, from 1 to 4; the n observables
            start on every wire of a ring, and each has 4^k coefficients.
        quanvolution_layers: entangling layers of a quanvolution that takes C1's place (see `Quanvolution`), which has
            no pooling, bias or ReLU; 0 keeps the convolution.
        f2_activation: ``"relu"``, or ``"tanh"`` for features that are angles from -pi/2 to pi/2 (Mari et al., arXiv
            1912.08278).
        skip: how the features pass the quantum layer (see `QuantumLeNet`).
        n_qubits: number of qubits n; F2 has 2^n values with amplitude embedding, n with angle embedding, and as many
            as the circuit reads with ``"none"``.
        n_layers: entangling layers; 1 where `ansatz` is a circuit.
        embedding: how F2's values become a state; ``"angle"`` is one RY a wire, and ``"none"`` leaves it to the
            circuit that `ansatz` is.
        ansatz: the trainable circuit by its name, or as a circuit on the n qubits, such as
            `qdistill.backends` reads from PennyLane, Qiskit or OpenQASM. It may read F2's values as angles too.
        branch: what stands in the quantum layer's place: the layer itself, the layer with its weights frozen
            as drawn, nothing, or a classical dense layer with as many parameters.
        initialiser: how the classical weights are drawn.
        angle_range: the circuit's angles are drawn from [0, angle_range) radians.
        coefficient_scale: standard deviation of a Hermitian's initial coefficients.
    """

    observable: Literal["pauli_z", "hermitian", "fixed_hermitian"] = "hermitian"
    skip: Literal["pad", "projection", "none"] = "pad"
    n_qubits: int = 6
    n_layers: int = 4
    embedding: Literal["amplitude", "angle", "none"] = "amplitude"
    ansatz: AnsatzName | Circuit = "strongly_entangling"
    branch: Literal["quantum", "frozen", "removed", "dense"] = "quantum"
    initialiser: Initialiser = "xavier_normal"
    angle_range: float = 2 * math.pi
    coefficient_scale: float = 1.0
    observable_wires: int = 1
    quanvolution_layers: int = 0
    f2_activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        check_wires(self.n_qubits, "n_qubits")
        at_least_one(n_layers=self.n_layers)
        if self.quanvolution_layers < 0:
            raise ArgumentError(
                f"Argument `quanvolution_layers` must be at least 0, but was {self.quanvolution_layers}."
            )
        for name in ("angle_range", "coefficient_scale"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"Argument `{name}` must be at least 0, but was {getattr(self, name)}.")
        most = 1 if self.observable == "pauli_z" else min(4, self.n_qubits)
        if not 1 <= self.observable_wires <= most:
            raise ArgumentError(
                f"Argument `observable_wires` must be {'1' if most == 1 else f'from 1 to {most}'} for the observable "
                f"{self.observable!r} on {self.n_qubits} qubits, but was {self.observable_wires}."
            )
        self._check_ansatz()
        if self.branch == "removed" and self.skip == "none":
            raise ArgumentError(
                "Argument `branch` must not be 'removed' with `skip` = 'none', for nothing would reach F3."
            )

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> QuantumLeNet:
        """Draw a network for images of shape (height, width, channels).

        The classical weights are the same for every `branch` and `observable` under one key, so that a
        network and its controls start alike.

        Args:
            input_shape: of one image.
            n_classes: at least 2.
            key: random key, consumed.

        Raises:
            ArgumentError: images whose size does not come out even, or fewer than two classes.
        """
        check_n_classes(n_classes)
        key_features, key_quantum, key_dense, key_projection, key_f3 = jax.random.split(key, 5)
        width, n_outputs = self._width, self.n_qubits
        features = LeNetFeatures(
            input_shape, width, self.initialiser, self.quanvolution_layers, self.f2_activation, key=key_features
        )
        projection = None
        if self.skip == "projection":
            projection = Dense(width, n_outputs, self.initialiser, key=key_projection)
        f3_width = width if self.skip == "pad" else n_outputs
        f3 = Dense(f3_width, n_classes, self.initialiser, key=key_f3)
        return QuantumLeNet(features, self._branch(key_quantum, key_dense), projection, f3, self.skip)

    def known_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `KnowsShapes`."""
        shapes: dict[str, tuple[int, ...]] = {"features.f2.bias": (self._width,)}
        if self.quanvolution_layers:
            shapes["features.c1.layer.weights"] = (self.quanvolution_layers, PATCH, 3)
        if self.branch == "dense":
            shapes["branch.dense.bias"] = (self.n_qubits,)
        elif self.branch != "removed":
            shapes["branch.weights"] = self._angles
            if self.observable != "pauli_z":
                shapes["branch.observable.coefficients"] = (self.n_qubits, 4**self.observable_wires)
        return shapes

    @property
    def _width(self) -> int:
        """Number of features F."""
        if self.embedding == "none":
            return self.ansatz.n_features if isinstance(self.ansatz, Circuit) else 0
        # No machine has 2^64 features; a number with millions of digits would only take time.
        return self.n_qubits if self.embedding == "angle" else 1 << min(self.n_qubits, 64)

    @property
    def _angles(self) -> tuple[int, ...]:
        """The shape of the circuit's weights."""
        if isinstance(self.ansatz, Circuit):
            return (self.ansatz.n_weights,)
        return named_ansatz(self.ansatz, self.n_qubits, self.n_layers).weight_shape

    def _check_ansatz(self) -> None:
        if not isinstance(self.ansatz, Circuit):
            if self.embedding == "none":
                raise ArgumentError(
                    "Argument `embedding` must not be 'none' where `ansatz` is a name, for no feature would reach "
                    "the quantum layer."
                )
            return
        if self.ansatz.n_wires != self.n_qubits:
            raise ArgumentError(
                f"Argument `n_qubits` must be {self.ansatz.n_wires}, the wires of the circuit given as `ansatz`, but "
                f"was {self.n_qubits}."
            )
        if self.n_layers != 1:
            raise ArgumentError(
                f"Argument `n_layers` must be 1 where `ansatz` is a circuit, but was {self.n_layers}. A circuit "
                "holds all of its layers itself."
            )
        if not self.ansatz.n_weights:
            raise ArgumentError("Argument `ansatz` must be a circuit that reads a weight, but it reads none.")
        taken = {"amplitude": 2**self.n_qubits, "angle": self.n_qubits, "none": self.ansatz.n_features}[self.embedding]
        if not taken or self.ansatz.n_features > taken:
            raise ArgumentError(
                f"Argument `ansatz` must be a circuit that reads {'a feature' if not taken else f'at most {taken}'} "
                f"with the embedding {self.embedding!r}, but it reads {self.ansatz.n_features}."
            )
        if self.skip == "pad" and taken < self.n_qubits:
            raise ArgumentError(
                f"Argument `skip` must not be 'pad' where the circuit reads {taken} features, fewer than the "
                f"{self.n_qubits} outputs that would be added to them."
            )

    def _quantum_layer(self, key: Array) -> QuantumLayer:
        key_weights, key_observable = jax.random.split(key)
        if isinstance(self.ansatz, Circuit):
            circuit = self.ansatz
        else:
            circuit = named_ansatz(self.ansatz, self.n_qubits, self.n_layers).circuit()
        return QuantumLayer(
            embedding=named_embedding(self.embedding, self.n_qubits, circuit.n_features),
            circuit=circuit,
            weights=jax.random.uniform(key_weights, self._angles, jnp.float32, maxval=self.angle_range),
            observable=make_observable(
                self.observable,
                neighbours(self.n_qubits, self.observable_wires),
                scale=self.coefficient_scale,
                key=key_observable,
            ),
            trainable=self.branch != "frozen",
        )

    def _branch(self, key_quantum: Array, key_dense: Array) -> QuantumLayer | PooledDense | None:
        if self.branch == "removed":
            return None
        if self.branch != "dense":
            return self._quantum_layer(key_quantum)
        budget = math.prod(self._angles)
        if self.observable == "hermitian":
            budget += 4**self.observable_wires * self.n_qubits
        # An affine map from g values to k has k (g + 1) parameters.
        n_groups = max(1, min(budget // self.n_qubits - 1, self._width))
        return PooledDense(Dense(n_groups, self.n_qubits, self.initialiser, key=key_dense), n_groups)
