"""The circuit-centric classifier: copies of the inputs as amplitudes, strongly entangling layers, Z on one wire."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes, count_inputs, one_input
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import scale_of
from qdistill.numbers import Numbers
from qdistill.quantum import AmplitudeEmbedding, PauliZ, QuantumLayer, StronglyEntangling, check_wires


class AmplitudeCopies(eqx.Module):
    """A classifier that reads the amplitudes of several copies of a state instead of the inputs.

    The d inputs are filled up to 2^m numbers with 2^-m and normalised, and the copies are their tensor product.

    Args:
        classifier: takes 2^(m copies) amplitudes.
        n_copies: of the state of the inputs.
        input_shape: of one input.
    """

    classifier: CircuitClassifier
    n_copies: int = eqx.field(static=True)
    input_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Numbers) -> Float[Array, " classes"]:
        """The logits of one input.

        Raises:
            ArgumentError: no real numbers, or of another shape than the model was built for.
        """
        inputs = one_input(x, self.input_shape).reshape(-1)
        size = 2 ** wires_of_a_copy(inputs.size)
        copy = jnp.pad(inputs, (0, size - inputs.size), constant_values=1 / size)
        return self.classifier(reduce(jnp.kron, [copy] * self.n_copies))


@dataclass(frozen=True)
class CircuitCentric:
    """The classifier of Schuld et al., with copies of the inputs as in XanaduAI/qml-benchmarks.

    The d inputs are the amplitudes of ceil(log2 d) qubits a copy. The margin that speaks for the second class is <Z> on
    wire 0 after the strongly entangling layers, plus a trained bias; the publication trains it by the square loss.

    With ten inputs the defaults are eight qubits and 97 parameters: 4 x 8 x 3 angles and the bias.

    Args:
        n_copies: of the amplitudes.
        n_layers: strongly entangling layers.
        distribution: of the initial angles: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: in radians.
        bias: the trained bias at the start.
        output_scale: the start of a trained factor of <Z>, which the publication does not have; by default there is
            none.

    Reference:
        Schuld, Bocharov, Svore and Wiebe, Phys. Rev. A 101, 032308 (2020), arXiv 1804.00633; Bowles, Ahmed and Schuld,
        arXiv 2403.07059.
    """

    n_copies: int = 2
    n_layers: int = 4
    distribution: Distribution = "uniform"
    spread: float = 2 * math.pi
    bias: float = 0.01
    output_scale: float | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        at_least_one(n_copies=self.n_copies, n_layers=self.n_layers)
        check_spread(self.spread)
        scale_of(self.output_scale)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> AmplitudeCopies:
        """Draw a model.

        Args:
            input_shape: of one input, which is read in C order.
            n_classes: 2.
            key: random key, consumed.

        Raises:
            ArgumentError: no inputs, or not two classes.
            CircuitError: too many wires or layers.
        """
        n_inputs = count_inputs(input_shape, 1, None, "for the amplitudes")
        check_n_classes(n_classes, 2, "for a margin")
        n = self.n_copies * wires_of_a_copy(n_inputs)
        check_wires(n, "n_copies")
        ansatz = StronglyEntangling(n, self.n_layers)
        angles = initial_angles(self.distribution, self.spread, ansatz.weight_shape, key=key)
        classifier = CircuitClassifier(
            QuantumLayer(AmplitudeEmbedding(n), ansatz.circuit(), angles, PauliZ(((0,),))),
            input_shape=(2**n,),
            output_scale=scale_of(self.output_scale),
            bias=jnp.full(1, self.bias, jnp.float32),
            margin=True,
        )
        return AmplitudeCopies(classifier, self.n_copies, tuple(input_shape))


def wires_of_a_copy(n_inputs: int) -> int:
    """m, the fewest wires that have that many amplitudes; at least one."""
    return max(1, (n_inputs - 1).bit_length())
