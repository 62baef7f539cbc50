"""The meta-gradient of the quantum LeNet in JAX as one would write it first.

`lax.conv_general_dilated` and `lax.reduce_window`, the circuit gate by gate over the batch, and reverse mode over
reverse mode through a scan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qdistill.models import named_weights
from qdistill.models.lenet import SIDE
from qdistill.models.quantum_lenet import QuantumLeNet
from qdistill.quantum.gates import GATES
from qdistill.quantum.paulis import pauli_matrices


def straightforward(model: QuantumLeNet, schedule: np.ndarray | None) -> Callable[..., tuple[Array, Any]]:
    """The meta-gradient as one would write it first.

    Args:
        model: gives the circuit.
        schedule: which inputs each step sees; None where it sees all.
    """
    network = straightforward_network(model)
    names = list(named_weights(model))  # in the order of the step sizes, which a dictionary loses inside jit

    def loss(w: dict[str, Array], inputs: Array, labels: Array) -> Array:
        return jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(network(w, inputs)), axis=-1))

    def meta_loss(initial: dict[str, Array], arrays: tuple[Array, ...], real: Array, real_labels: Array) -> Array:
        inputs, labels, step_sizes = arrays

        def step(w: dict[str, Array], now: tuple[Array, Array | None]) -> tuple[dict[str, Array], None]:
            sizes, picked = now
            seen = (inputs, labels) if picked is None else (inputs[picked], labels[picked])
            gradient = jax.grad(loss)(w, *seen)
            by_name = dict(zip(names, jnp.broadcast_to(sizes, (len(names),)), strict=True))
            return {name: w[name] - by_name[name] * gradient[name] for name in w}, None

        picks = None if schedule is None else jnp.asarray(schedule)
        trained, _ = jax.lax.scan(step, initial, (step_sizes, picks))
        return loss(trained, real, real_labels)

    return jax.value_and_grad(meta_loss, argnums=1)


def straightforward_network(
    model: QuantumLeNet, *, with_quantum: bool = True
) -> Callable[[dict[str, Array], Array], Array]:
    """The logits of a batch, as one would write them first."""
    quantum = straightforward_circuit(model)

    def conv_pool(x: Array, kernel: Array, bias: Array, padding: int) -> Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), [(padding, padding)] * 2, dimension_numbers=dimensions)
        return jax.lax.reduce_window(jax.nn.relu(x + bias), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def logits(w: dict[str, Array], inputs: Array) -> Array:
        x = inputs
        for name, padding in (("c1", (SIDE - inputs.shape[1]) // 2), ("c2", 0)):
            x = conv_pool(x, w[f"features.{name}.kernel"], w[f"features.{name}.bias"], padding)
        x = x.reshape(x.shape[0], -1)
        for name in ("f1", "f2"):
            x = jax.nn.relu(x @ w[f"features.{name}.weight"].T + w[f"features.{name}.bias"])
        if with_quantum:
            values = jax.vmap(lambda features: quantum(w, features))(x)
            x = x + jnp.pad(values, ((0, 0), (0, x.shape[1] - values.shape[1])))
        return x @ w["f3.weight"].T + w["f3.bias"]

    return logits


def straightforward_circuit(model: QuantumLeNet) -> Callable[[dict[str, Array], Array], Array]:
    """The quantum layer gate by gate, for one feature vector."""
    circuit = model.branch.circuit
    n = circuit.n_wires
    paulis = jnp.asarray(pauli_matrices(1), jnp.complex64)

    def rot(phi: Array, theta: Array, omega: Array) -> Array:
        def rz(t: Array) -> Array:
            return jnp.diag(jnp.stack([jnp.exp(-0.5j * t), jnp.exp(0.5j * t)]))

        c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
        return rz(omega) @ jnp.array([[c, -s], [s, c]]).astype(jnp.complex64) @ rz(phi)

    def on_wires(matrix: Array, state: Array, wires: tuple[int, ...]) -> Array:
        k = len(wires)
        tensor = jnp.tensordot(matrix.reshape((2,) * 2 * k), state, (tuple(range(k, 2 * k)), wires))
        return jnp.moveaxis(tensor, range(k), wires)

    def values(w: dict[str, Array], features: Array) -> Array:
        state = (features / jnp.sqrt(jnp.sum(features**2) + 1e-12)).astype(jnp.complex64).reshape((2,) * n)
        angles = w["branch.weights"].reshape(-1)
        for operation in circuit.operations:
            if operation.gate == "Rot":
                matrix = rot(*(angles[a.index] for a in operation.angles))
            else:
                matrix = jnp.asarray(GATES[operation.gate].matrix(), jnp.complex64)
            state = on_wires(matrix, state, operation.wires)
        measured = []
        for wire in range(n):
            hermitian = jnp.tensordot(w["branch.observable.coefficients"][wire].astype(jnp.complex64), paulis, 1)
            measured.append(jnp.vdot(state, on_wires(hermitian, state, (wire,))).real)
        return jnp.stack(measured)

    return values
