"""What a backend has to run for a quantum layer: one circuit from |0...0>, its angles, and what is measured.

Every angle of a gate is a parameter of its own, even where several gates read one weight: the parameter-shift rule
shifts one gate at a time. What is measured are the Pauli strings that the observable is made of, not the observable, so
that the same measurements give the derivatives by its coefficients, which are the strings' expectation values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from qdistill.quantum.angle import Angle
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.preparation import embedded, embedded_features
from qdistill.quantum.shots import basis_letters, measurement_settings
from qdistill.quantum.simulate import values_of_angles


@runtime_checkable
class Evaluator(Protocol):
    """A backend that measures one layer's circuit."""

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """Measure the circuit for several vectors of parameters.

        Args:
            parameters: the circuit's angles in radians.
            seed: decides the samples where the backend is a simulator.

        Returns:
            The expectation values of `MeasuredCircuit.terms`.
        """
        ...


@dataclass(frozen=True)
class MeasuredCircuit:
    """A layer for a backend; plain data without its weights.

    Args:
        circuit: embedding and ansatz as gates; its weights are all angles that are not constant, in order.
        angles: where each of these comes from, in the layer's weights and `embedded_features`.
        gates: the gate that each is of.
        shifted: which of them need a derivative.
        settings: for each setting that is measured, a letter X, Y or Z a wire.
        terms: the Pauli strings on all wires whose expectation values are needed.
        places: for each output of the observable and each of its Pauli strings, the place among the terms; one place
            after the last stands for the identity.
    """

    circuit: Circuit
    angles: tuple[Angle, ...]
    gates: tuple[str, ...]
    shifted: tuple[bool, ...]
    settings: tuple[str, ...]
    terms: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]

    def supports(self, setting: str) -> dict[int, tuple[int, ...]]:
        """The terms that a setting measures, each with the wires whose signs are multiplied."""
        return {
            place: tuple(wire for wire, letter in enumerate(term) if letter != "I")
            for place, term in enumerate(self.terms)
            if all(letter in ("I", measured) for letter, measured in zip(term, setting, strict=True))
        }

    def from_bits(
        self, bits: Sequence[Bool[np.ndarray, "evaluations shots wires"]]
    ) -> Float[np.ndarray, "evaluations terms"]:
        """The terms' values from samples, for each setting the bit of every wire; True is an outcome of -1."""

        def mean(setting: Bool[np.ndarray, "evaluations shots wires"], wires: tuple[int, ...]) -> np.ndarray:
            odd: np.ndarray = np.logical_xor.reduce(setting[..., list(wires)], axis=-1)
            return np.asarray(1 - 2 * odd.mean(axis=-1))

        return self._average([{p: mean(b, w) for p, w in s.items()} for b, s in zip(bits, self._all(), strict=True)])

    def from_probabilities(
        self, probabilities: Sequence[Float[np.ndarray, "evaluations states"]]
    ) -> Float[np.ndarray, "evaluations terms"]:
        """The same from each setting's probabilities, or frequencies, of the basis states; wire 0 is the first bit."""
        n = self.circuit.n_wires
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1)
        return self._average(
            [
                {place: row @ np.prod(signs[:, list(wires)], axis=1) for place, wires in supports.items()}
                for row, supports in zip(probabilities, self._all(), strict=True)
            ]
        )

    def layer_angles(self, layer: QuantumLayer, features: Float[Array, " features"]) -> Float[Array, " angles"]:
        """The circuit's parameters for one feature vector; differentiable."""
        prepared = embedded_features(layer.embedding, layer.circuit, features)
        return values_of_angles(self.angles, layer.weights.reshape(-1), prepared)

    def values(
        self, layer: QuantumLayer, features: Float[Array, " features"], terms: Float[Array, " terms"]
    ) -> Float[Array, " outputs"]:
        """The layer's values for one feature vector from the expectation values of the terms; differentiable in all.

        A backend measures a state of norm 1. The layer's has it too, but for `AmplitudeEmbedding` of features close to
        zero: those that are all zero have no amplitudes, and so the value 0, whatever is measured.
        """
        with_identity = jnp.concatenate([terms, jnp.ones(1, terms.dtype)])
        outputs, places = np.array([(o, place) for o, row in enumerate(self.places) for place in row], np.int32).T
        strings = layer.observable.term_coefficients() * with_identity[places]
        of_norm_one = jnp.zeros(len(self.places), strings.dtype).at[outputs].add(strings)
        state = layer.embedding.state(features)
        return of_norm_one * jnp.vdot(state, state).real

    def _all(self) -> list[dict[int, tuple[int, ...]]]:
        return [self.supports(setting) for setting in self.settings]

    def _average(self, measured: Sequence[dict[int, np.ndarray]]) -> Float[np.ndarray, "evaluations terms"]:
        """A term that several settings measure is the mean of them."""
        columns = [[values[t] for values in measured if t in values] for t in range(len(self.terms))]
        return np.stack([np.mean(column, axis=0) for column in columns], axis=-1).astype(float)


def measured_circuit(layer: QuantumLayer, *, by_features: bool = True) -> MeasuredCircuit:
    """Say what has to be run and measured for a layer.

    Args:
        layer: the layer.
        by_features: whether the derivatives by its features are needed.

    Raises:
        CircuitError: the embedding is not one of this package's.
    """
    whole = embedded(layer.embedding, layer.circuit)
    apart, angles, gates = whole.angles_apart()
    n, strings = whole.n_wires, layer.observable.terms
    measured = list(dict.fromkeys(string for own in strings for string in own if string.wires))
    numbers = {string: number for number, string in enumerate(measured)}
    return MeasuredCircuit(
        circuit=apart,
        angles=angles,
        gates=gates,
        shifted=tuple(angle.reads(weights=layer.trainable, features=by_features) for angle in angles),
        settings=tuple(basis_letters(setting, n) for setting in measurement_settings(layer.observable)),
        terms=tuple(string.on(range(n)) for string in measured),
        places=tuple(tuple(numbers.get(string, len(measured)) for string in own) for own in strings),
    )
