"""A kernel as the whole model: ridge regression on the fidelities with a few support points.

The training on inputs x_1, ..., x_m with labels y_1, ..., y_m is one step of Newton's method, which is at the minimum
of a square error at once: a system of linear equations,

    (K + l 1) a = y - 1/C,    K_ij = k(x_i, x_j)        logits(x) = 1/C + sum_i k(x, x_i) a_i

with l the regularisation and C classes, so that what lies far from all support points says nothing for any class. The
inputs and labels that make the regression right on real data are those of KIP (Nguyen, Chen and Lee, arXiv 2011.00050).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes, count_inputs, one_input
from qdistill.models.initial import initial_angles
from qdistill.numbers import Numbers, real
from qdistill.quantum import AngleEmbedding, Circuit, FidelityKernel, iqp_feature_map, with_key, zz_feature_map


def ridge_coefficients(
    matrix: Numbers, targets: Numbers, regularisation: float, *, repaired: bool = False
) -> Float[Array, "m outputs"]:
    """Solve ``(matrix + regularisation 1) a = targets`` by Cholesky's factors; works inside jit.

    Args:
        matrix: of a kernel, (m, m), real; its lower triangle is read.
        targets: real, (m, outputs).
        regularisation: at least 0.
        repaired: set the negative eigenvalues, which estimates from shots may have, to 0 first (arXiv 2105.02276).

    Returns:
        NaN where the regularised matrix is not positive definite: `check_positive` says so by name.
    """
    matrix, targets = real("matrix", matrix), real("targets", targets)
    coefficients: Array
    if repaired:
        values, vectors = jnp.linalg.eigh(matrix)
        coefficients = vectors @ ((vectors.T @ targets) / (jnp.maximum(values, 0) + regularisation)[:, None])
    else:
        factor = jnp.linalg.cholesky(matrix + regularisation * jnp.eye(len(matrix), dtype=matrix.dtype))
        coefficients = jax.scipy.linalg.cho_solve((factor, True), targets)
    return coefficients


def check_positive(matrix: Numbers, regularisation: float) -> None:
    """Make sure that a kernel matrix and its regularisation can be solved in its precision.

    Raises:
        ArgumentError: the smallest eigenvalue of the two is not above what rounding makes of 0.
    """
    numbers = np.asarray(real("matrix", matrix))
    values = np.linalg.eigvalsh(numbers.astype(np.float64)) + regularisation
    least = len(numbers) * np.finfo(numbers.dtype).eps * max(abs(values[-1]), abs(values[0]))
    if not values[0] > least:
        raise ArgumentError(
            f"Argument `regularisation` must make the kernel matrix of the {len(numbers)} support points positive "
            f"definite, but with {regularisation:g} its smallest eigenvalue is {values[0]:.3g}. Points that are alike "
            "need more of it."
        )


class KernelClassifier(eqx.Module):
    """Kernel ridge regression of the labels, less their mean for equal classes.

    Args:
        kernel: the kernel, as it is or on a device.
        support: the support points as feature vectors, (m, d); none, (0, d), before the training.
        coefficients: (m, classes).
        regularisation: see the module's text.
        input_shape: of one input, read in C order.
    """

    kernel: FidelityKernel
    support: Float[Array, "m d"]
    coefficients: Float[Array, "m classes"]
    regularisation: float = eqx.field(static=True)
    input_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Numbers) -> Float[Array, " classes"]:
        """The logits of one input.

        Args:
            x: real numbers of the shape that the model was built for.

        Raises:
            ArgumentError: no real numbers, or of another shape.
        """
        x = one_input(x, self.input_shape)
        n_classes = self.coefficients.shape[1]
        (similar,) = self.kernel(x.reshape(1, -1), self.support)
        logits: Array = 1 / n_classes + similar @ self.coefficients
        return logits

    def fit(
        self, inputs: Numbers, labels: Numbers, *, step_size: Numbers = 1.0, key: Array | None = None
    ) -> KernelClassifier:
        """The classifier that is trained on these inputs; see `ClosedForm`.

        Args:
            inputs: real, (m, ...).
            labels: one vector an input, (m, classes).
            step_size: the share of the way from the coefficients 0 to the minimum.
            key: random key, consumed, where the kernel is estimated from shots.

        Raises:
            ArgumentError: no real numbers, labels of another shape, or there are shots, but no key.
        """
        support = self._as_vectors(inputs)
        labels, shape = real("labels", labels), (len(support), self.coefficients.shape[1])
        if labels.shape != shape:
            raise ArgumentError(
                f"Argument `labels` must have shape {shape}, a vector of the classes for each input, but had shape "
                f"{labels.shape}."
            )
        kernel = self.kernel if key is None else with_key(self.kernel, key)
        coefficients = ridge_coefficients(
            kernel.gram(support), labels - 1 / labels.shape[1], self.regularisation, repaired=not kernel.is_exact
        )
        coefficients = real("step_size", step_size) * coefficients
        return KernelClassifier(self.kernel, support, coefficients, self.regularisation, self.input_shape)

    def check_fit(self, inputs: Numbers) -> None:
        """Make sure that `fit` can solve for the coefficients; see `ClosedForm`.

        Raises:
            ArgumentError: it cannot.
        """
        if self.kernel.is_exact:
            check_positive(self.kernel.gram(self._as_vectors(inputs)), self.regularisation)

    def _as_vectors(self, inputs: Numbers) -> Float[Array, "m d"]:
        inputs = real("inputs", inputs)
        return inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))


@dataclass(frozen=True)
class KernelArchitecture:
    """Ridge regression on the fidelity kernel of a feature map.

    An input is read in C order: entry k is feature k of the circuit.

    Args:
        feature_map: ``"iqp"`` and ``"zz"`` of Havlicek et al. (arXiv 1804.11326; see `quantum.feature_maps`),
            ``"angle"``, one RY a wire, each with as many wires as an input has numbers; or any circuit that reads
            features. Its weights, where it reads some, are drawn uniformly from [0, 2 pi) and stay as they are.
        repeats: how often ``"iqp"`` or ``"zz"`` is repeated; 2 by default.
        regularisation: l, above 0, beside a diagonal of 1. The more of it, the fewer shots an entry needs.

    Raises:
        ArgumentError: what does not fit each other, or by `build` the inputs.
    """

    is_solved: ClassVar[bool] = True

    feature_map: Literal["iqp", "zz", "angle"] | Circuit = "iqp"
    repeats: int | None = None
    regularisation: float = 0.1

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.regularisation <= 0:
            raise ArgumentError(f"Argument `regularisation` must be above 0, but was {self.regularisation}.")
        if self.repeats is not None and self.feature_map not in ("iqp", "zz"):
            raise ArgumentError(
                f"Argument `repeats` must be left out but for the feature maps 'iqp' and 'zz', but was {self.repeats}."
            )
        at_least_one(repeats=self.repeats)
        if isinstance(self.feature_map, Circuit) and not self.feature_map.n_features:
            raise ArgumentError(
                "Argument `feature_map` must read features, or no input would reach it, but reads none."
            )

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> KernelClassifier:
        """A classifier that has no support points yet.

        Args:
            input_shape: of one input, of any number of axes.
            n_classes: at least 2.
            key: random key, consumed, for the weights of a circuit that has some.

        Raises:
            ArgumentError: the circuit reads another number of inputs, or there are fewer than two classes.
        """
        check_n_classes(n_classes)
        n_inputs = count_inputs(input_shape, 1, None, "that the feature map reads")
        circuit = self.circuit(n_inputs)
        if circuit.n_features != n_inputs:
            raise ArgumentError(
                f"Argument `input_shape` must be of the {circuit.n_features} numbers that the feature map reads, but "
                f"was {tuple(input_shape)}, which is {n_inputs}. `transforms` such as a PCA give inputs of another "
                "length."
            )
        weights = initial_angles("uniform", 2 * math.pi, (circuit.n_weights,), key=key)
        return KernelClassifier(
            kernel=FidelityKernel(circuit, weights),
            support=jnp.zeros((0, n_inputs), jnp.float32),
            coefficients=jnp.zeros((0, n_classes), jnp.float32),
            regularisation=self.regularisation,
            input_shape=tuple(input_shape),
        )

    def circuit(self, n_inputs: int) -> Circuit:
        """The feature map for inputs of so many numbers."""
        if isinstance(self.feature_map, Circuit):
            return self.feature_map
        if self.feature_map == "angle":
            return AngleEmbedding(n_inputs).circuit()
        make = {"iqp": iqp_feature_map, "zz": zz_feature_map}[self.feature_map]
        return make(n_inputs, 2 if self.repeats is None else self.repeats)
