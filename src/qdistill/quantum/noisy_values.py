"""The exact expectation values of a layer on a device, and of any observables after its noisy circuit.

In the Heisenberg picture the observables go backwards through the circuit and its noise once for a whole batch; in the
Schrödinger picture each state goes forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum.channels import readings
from qdistill.quantum.device import DeviceModel
from qdistill.quantum.embedding import AmplitudeEmbedding
from qdistill.quantum.execution import Execution
from qdistill.quantum.heisenberg import quadratic_values
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.noisy_preparation import averaged_preparation, noisy_state
from qdistill.quantum.observable import Observable, of_each_output
from qdistill.quantum.paulis import PAULIS, PauliString
from qdistill.quantum.transfer import (
    LocalObservables,
    compile_noisy,
    evolve_observables,
    evolve_states,
    quadratic_forms,
)


def noisy_values(layer: QuantumLayer, execution: Execution, features: Array) -> Float[Array, " outputs"]:
    """The layer's expectation values on a device, its readout included, for one feature vector.

    Args:
        layer: the layer.
        execution: gives the device, which there must be; its shots do not matter here.
        features: one vector of real numbers.
    """
    assert execution.device is not None
    return noisy_values_of(_read_observables(layer.observable, execution.device), layer, execution, features)


def noisy_values_of(
    observables: Sequence[LocalObservables],
    layer: QuantumLayer,
    execution: Execution,
    features: Float[Array, " features"],
) -> Float[Array, " outputs"]:
    """The values of any observables after a layer's circuit with its noise.

    The observables go backwards where that is less arithmetic than to take each state of the batch forwards.

    Args:
        observables: in the place of the layer's own.
        layer: gives the embedding, the circuit and its weights.
        execution: gives the device, which there must be.
        features: one vector of real numbers.
    """
    assert execution.device is not None
    noisy = compile_noisy(layer.circuit, execution.device)
    weights = layer.weights.reshape(-1)
    count = sum(part.coefficients.shape[1] for part in observables)
    gates = sum(4 ** len(block.wires) for block in noisy.blocks)
    if layer.circuit.n_features or layer.batch * gates < count * (gates + layer.batch):
        start = noisy_state(layer.embedding, execution.device, features, execution.preparation)
        everywhere = [part.on(range(noisy.n_wires)).coefficients for part in observables]
        return evolve_states(noisy, weights, start, features) @ jnp.concatenate(everywhere, axis=1)
    before = evolve_observables(noisy, weights, observables)
    if isinstance(layer.embedding, AmplitudeEmbedding) and execution.preparation != "exact":
        if execution.preparation == "approximate":
            factors, added = averaged_preparation(layer.circuit.n_wires, execution.device)
            constant = jnp.asarray(added, before.dtype) @ before
            before = (jnp.asarray(factors, before.dtype)[:, None] * before).at[0].add(constant)
        return quadratic_values(quadratic_forms(before), layer.embedding.state(features))
    return noisy_state(layer.embedding, execution.device, features, execution.preparation) @ before


def _read_observables(observable: Observable, device: DeviceModel) -> list[LocalObservables]:
    """Each output on its wires, after what the readout makes of every letter."""
    parts = []
    coefficients = of_each_output(observable.terms, observable.term_coefficients())
    for wires, strings, own in zip(observable.wires, observable.terms, coefficients, strict=True):
        flat = jnp.zeros(4 ** len(wires), own.dtype).at[_places(strings, wires)].add(own)
        tensor = flat.reshape((4,) * len(wires))
        for axis, wire in enumerate(wires):
            reading, letters = np.eye(4), readings(device, wire)
            for place, letter in enumerate(PAULIS[1:], start=1):
                reading[place, place], reading[0, place] = letters[letter]
            tensor = jnp.moveaxis(jnp.tensordot(jnp.asarray(reading, own.dtype), tensor, (1, axis)), 0, axis)
        parts.append(LocalObservables(wires, tensor.reshape(-1, 1)))
    return parts


@lru_cache
def _places(strings: tuple[PauliString, ...], wires: tuple[int, ...]) -> np.ndarray:
    """The place of each string among the 4^k on some wires, in the order of `pauli_strings`; 0 on no wires."""
    places = [reduce(lambda place, letter: 4 * place + PAULIS.index(letter), s.on(wires), 0) for s in strings]
    return np.array(places, np.int32)
