"""The IQP variational classifier: an embedding of products of inputs, strongly entangling layers, a parity."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Array

from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes, count_inputs
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import scale_of
from qdistill.quantum import NoEmbedding, PauliSum, QuantumLayer, StronglyEntangling, iqp_feature_map


@dataclass(frozen=True)
class IQPVariational:
    """The variational classifier of Havlíček et al. as XanaduAI/qml-benchmarks has it: one qubit an input.

    After the IQP embedding and strongly entangling layers with CZ, the margin that speaks for the second class is
    <Z Z> on wires 0 and 1; qml-benchmarks trains it by the probability of the wrong class.

    With ten inputs the defaults are ten qubits and 10 x 10 x 3 = 300 angles.

    Args:
        n_repeats: of the embedding.
        n_layers: strongly entangling layers.
        distribution: of the initial angles: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: in radians.
        output_scale: the start of a trained factor of <Z Z>, which the publications do not have; by default there is
            none.

    Reference:
        Havlíček et al., Nature 567, 209 (2019), arXiv 1804.11326; Bowles, Ahmed and Schuld, arXiv 2403.07059.
    """

    n_repeats: int = 1
    n_layers: int = 10
    distribution: Distribution = "uniform"
    spread: float = 2 * math.pi
    output_scale: float | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        at_least_one(n_repeats=self.n_repeats, n_layers=self.n_layers)
        check_spread(self.spread)
        scale_of(self.output_scale)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        """Draw a model.

        Args:
            input_shape: of one input, which is read in C order.
            n_classes: 2.
            key: random key, consumed.

        Raises:
            ArgumentError: fewer than two inputs, or not two classes.
            CircuitError: too many operations.
        """
        n = count_inputs(input_shape, 2, None, "for the parity of two wires")
        check_n_classes(n_classes, 2, "for a margin")
        ansatz = StronglyEntangling(n, self.n_layers, "CZ")
        circuit = iqp_feature_map(n, self.n_repeats).then(ansatz.circuit().operations)
        angles = initial_angles(self.distribution, self.spread, ansatz.weight_shape, key=key)
        return CircuitClassifier(
            QuantumLayer(NoEmbedding(n, n), circuit, angles, PauliSum(["Z0 Z1"])),
            input_shape,
            output_scale=scale_of(self.output_scale),
            margin=True,
        )
