"""A circuit as the whole model: inputs -> circuit -> readout, with nothing classical around it but trained factors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models.checks import check_n_classes, count_inputs, not_zero, one_input
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import margin_logits, pauli_sums
from qdistill.numbers import Numbers
from qdistill.quantum import (
    Circuit,
    Embedding,
    NoisyLayer,
    Observable,
    PauliZ,
    QuantumLayer,
    basis_probabilities,
    each_wire,
    named_embedding,
)
from qdistill.quantum.pauli_text import pauli_sum

Readout = Literal["expectation", "probabilities", "margin"]


class CircuitClassifier(eqx.Module):
    """A quantum layer with, where they are asked for, a factor on what goes in and one on what comes out.

    Args:
        layer: the quantum layer, as it is or on a device.
        input_shape: of one input.
        input_scale: trained factors of the inputs: one, or one an input; None for none.
        output_scale: trained factors of the layer's values: one, or one a value; None for none.
        bias: trained numbers added to the layer's scaled values; None for none.
        factor: a fixed factor of the layer's values.
        margin: whether the layer's one value is a margin m, whose logits are (-m/2, m/2).
    """

    layer: QuantumLayer | NoisyLayer
    input_shape: tuple[int, ...] = eqx.field(static=True, converter=tuple)
    input_scale: Float[Array, " inputs"] | None = None
    output_scale: Float[Array, " outputs"] | None = None
    bias: Float[Array, " outputs"] | None = None
    factor: float = eqx.field(static=True, default=1.0)
    margin: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Numbers) -> Float[Array, " classes"]:
        """The logits of one input.

        Args:
            x: real numbers of the shape that the model was built for; read in C order.

        Raises:
            ArgumentError: no real numbers, or of another shape.
        """
        features = one_input(x, self.input_shape).reshape(-1)
        if self.input_scale is not None:
            features = features * self.input_scale
        values = self.factor * self.layer(features)
        if self.output_scale is not None:
            values = values * self.output_scale
        if self.bias is not None:
            values = values + self.bias
        return margin_logits(values) if self.margin else values


@dataclass(frozen=True)
class CircuitArchitecture:
    """A circuit that classifies by itself: what it measures are the logits.

    An input is read in C order: entry k is feature k of the circuit or of the embedding.

    Args:
        circuit: reads weights, and features where `embedding` is ``"none"``; it may with any embedding.
        embedding: what comes before the circuit: ``"none"``, for a circuit that reads the inputs itself; ``"angle"``,
            one RY a wire; ``"amplitude"``, 2^n amplitudes. The last two take fewer inputs than wires or amplitudes too,
            and leave the others at zero.
        readout: what the logits are: ``"expectation"``, one expectation value a class; ``"probabilities"``, of basis
            states of the readout wires, that of class c at number c; ``"margin"``, for two classes: (-m/2, m/2) for an
            expectation value m, so that a positive one speaks for the second class.
        observables: of ``"expectation"``, one a class, and ``"margin"``, one alone: sums of Pauli strings such as
            ``"Z0"`` or ``"0.5 * Z0 Z1 - X2"``. By default Z on wire c for class c, and Z on wire 0 for a margin.
        readout_wires: of ``"probabilities"``, the most significant first; by default the first that suffice.
        trained_observables: whether the coefficients of `observables` are trained, from those that are given on.
        input_scaling: factors that the inputs are multiplied by, trained from 1 on: none, one, or one an input.
        output_scaling: factors that the logits are multiplied by, trained: none, one, or one a class; a margin has one.
        output_scale: the value of that factor at the start; for ``"none"`` it stays.
        distribution: of the circuit's initial weights: uniform in [0, spread) radians, or normal with the standard
            deviation `spread`.
        spread: 2 pi for ``"uniform"`` and 1 for ``"normal"`` by default.

    Raises:
        ArgumentError: what does not fit each other, or by `build` the inputs or the classes.
    """

    circuit: Circuit
    embedding: Literal["none", "angle", "amplitude"] = "none"
    readout: Readout = "expectation"
    observables: tuple[str, ...] = ()
    readout_wires: tuple[int, ...] = ()
    trained_observables: bool = False
    input_scaling: Literal["none", "shared", "feature"] = "none"
    output_scaling: Literal["none", "shared", "class"] = "shared"
    output_scale: float = 1.0
    distribution: Distribution = "uniform"
    spread: float | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        check_spread(self.spread)
        not_zero(output_scale=self.output_scale)
        self._check_circuit()
        self._check_readout()

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        """Draw a model.

        Args:
            input_shape: of one input, of any number of axes.
            n_classes: at least 2.
            key: random key, consumed.

        Raises:
            ArgumentError: the circuit reads another number of inputs, or the readout does not have that many classes.
        """
        n_inputs = self._count_inputs(input_shape)
        observable = self._observable(n_classes)
        n_values = observable.n_outputs
        scales = {"none": None, "shared": 1, "class": n_values, "feature": n_inputs}
        return CircuitClassifier(
            layer=QuantumLayer(self._embedding, self.circuit, self._initial_weights(key), observable),
            input_shape=input_shape,
            input_scale=_factors(scales[self.input_scaling], 1.0),
            output_scale=_factors(scales[self.output_scaling], self.output_scale),
            factor=self.output_scale if self.output_scaling == "none" else 1.0,
            margin=self.readout == "margin",
        )

    def known_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `KnowsShapes`."""
        shapes: dict[str, tuple[int, ...]] = {"layer.weights": (self.circuit.n_weights,)}
        if self.trained_observables:
            shapes["layer.observable.coefficients"] = (sum(len(pauli_sum(text)) for text in self.observables),)
        return shapes

    @property
    def gives_fidelities(self) -> bool:
        """See `GivesFidelities`: the probability of a basis state is the fidelity with it."""
        return self.readout == "probabilities" and self.output_scaling == "none" and self.output_scale == 1

    @property
    def _embedding(self) -> Embedding:
        return named_embedding(self.embedding, self.circuit.n_wires, self.circuit.n_features)

    def _initial_weights(self, key: Array) -> Float[Array, " weights"]:
        spread = {"normal": 1.0, "uniform": 2 * math.pi}[self.distribution] if self.spread is None else self.spread
        return initial_angles(self.distribution, spread, (self.circuit.n_weights,), key=key)

    def _check_circuit(self) -> None:
        if self.embedding == "none" and not self.circuit.n_features:
            raise ArgumentError(
                "Argument `circuit` must read features where `embedding` is 'none', for no input would reach it, but "
                "it reads none."
            )
        trained = self.trained_observables or (self.input_scaling, self.output_scaling) != ("none", "none")
        if not self.circuit.n_weights and not trained:
            raise ArgumentError(
                "Argument `circuit` must read a weight where neither inputs nor outputs have trained factors, for "
                "nothing would be trained, but it reads none."
            )
        if self.embedding == "amplitude" and self.input_scaling == "shared":
            raise ArgumentError(
                "Argument `input_scaling` must not be 'shared' with the embedding 'amplitude', whose norm does not "
                "change with one factor for all inputs. 'feature' has one for each."
            )
        most = self._embedding.n_features
        if self.circuit.n_features > most:
            raise ArgumentError(
                f"Argument `circuit` must read at most the {most} features that the embedding {self.embedding!r} "
                f"takes on {self.circuit.n_wires} wires, but it reads {self.circuit.n_features}."
            )

    def _check_readout(self) -> None:
        if self.observables and self.readout == "probabilities":
            raise ArgumentError(
                f"Argument `observables` must be left out with the readout 'probabilities', but was {self.observables}."
            )
        if self.trained_observables and not self.observables:
            raise ArgumentError(
                "Argument `trained_observables` must be False without `observables`: `output_scaling` has trained "
                "factors of Z on each wire."
            )
        if self.readout_wires and self.readout != "probabilities":
            raise ArgumentError(
                f"Argument `readout_wires` must be left out with the readout {self.readout!r}, but was "
                f"{self.readout_wires}."
            )
        if self.readout == "margin" and len(self.observables) > 1:
            raise ArgumentError(
                f"Argument `observables` must be one for the readout 'margin', but was {len(self.observables)}."
            )
        wires = [
            *self.readout_wires,
            *(w for text in self.observables for string in pauli_sum(text) for w in string.wires),
        ]
        for wire in wires:
            if not 0 <= wire < self.circuit.n_wires:
                name = "observables" if self.observables else "readout_wires"
                raise ArgumentError(
                    f"Argument `{name}` must be on wires 0 to {self.circuit.n_wires - 1} of the circuit, but one is on "
                    f"wire {wire}."
                )
        if len(set(self.readout_wires)) < len(self.readout_wires):
            raise ArgumentError(f"Argument `readout_wires` must be different wires, but was {self.readout_wires}.")

    def _count_inputs(self, input_shape: tuple[int, ...]) -> int:
        most = self._embedding.n_features
        if self.embedding == "none":
            return count_inputs(input_shape, most, most, "that the circuit reads")
        return count_inputs(input_shape, max(1, self.circuit.n_features), most, f"for the embedding {self.embedding!r}")

    def _observable(self, n_classes: int) -> Observable:
        n_wires = self.circuit.n_wires
        needed = 1 if self.readout == "margin" else n_classes
        if self.observables and len(self.observables) != needed:
            raise ArgumentError(
                f"Argument `observables` must be one for each of the {n_classes} classes, but was "
                f"{len(self.observables)}."
            )
        check_n_classes(n_classes)
        if self.readout == "probabilities":
            wires = self.readout_wires or tuple(range(max(1, (n_classes - 1).bit_length())))
            if len(wires) > n_wires or 2 ** len(wires) < n_classes:
                raise ArgumentError(
                    f"Argument `readout_wires` must be wires with at least as many basis states as the {n_classes} "
                    f"classes, but there are {2 ** min(len(wires), n_wires)} on {min(len(wires), n_wires)} wires."
                )
            return basis_probabilities(wires, range(n_classes))
        if self.readout == "margin" and n_classes != 2:
            raise ArgumentError(f"Argument `readout` must not be 'margin' for {n_classes} classes: it is for two.")
        if self.observables:
            return pauli_sums([pauli_sum(text) for text in self.observables], trainable=self.trained_observables)
        if needed > n_wires:
            raise ArgumentError(
                f"Argument `readout` must not be 'expectation' without `observables` for {n_classes} classes on "
                f"{n_wires} wires: Z on each wire gives {n_wires} values. Give observables, or take 'probabilities'."
            )
        return PauliZ(each_wire(n_wires)[:needed])


def _factors(count: int | None, start: float) -> Float[Array, " factors"] | None:
    return None if count is None else jnp.full((count,), start, jnp.float32)
