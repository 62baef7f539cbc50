"""How a classical feature vector becomes a quantum state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real
from qdistill.quantum.angle import feature
from qdistill.quantum.bounds import check_states, check_wires
from qdistill.quantum.circuit import Circuit, Operation

NORM_FLOOR = 1e-12
"""Added to the squared norm before the square root: far below any real feature vector's, above zero."""


def one_vector(name: str, values: Numbers) -> Float[Array, " numbers"]:
    """One vector of real numbers, as it is computed with (see `qdistill.numbers`).

    Args:
        name: the argument's name, for the error.
        values: what was given for it.

    Raises:
        ArgumentError: no real numbers.
        CircuitError: not one vector.
    """
    vector = real(name, values)
    if vector.ndim != 1:
        raise CircuitError(
            f"Argument `{name}` must be one vector, but had shape {vector.shape}. For a batch use `jax.vmap`."
        )
    return vector


def check_n_features(count: int, most: int, allowed: str, advice: str = "") -> None:
    """Make sure that a vector has no more features than an embedding takes.

    Args:
        count: of the features.
        most: that it takes.
        allowed: how the error says that.
        advice: what to do about it.

    Raises:
        CircuitError: they are more.
    """
    if count > most:
        raise CircuitError(f"Argument `features` must be at most {allowed}, but was {count} values.{advice}")


EmbeddingName = Literal["amplitude", "angle", "none"]


@runtime_checkable
class Embedding(Protocol):
    """A map from one feature vector to one state."""

    @property
    def n_wires(self) -> int:
        """Number of qubits."""
        ...

    @property
    def n_features(self) -> int:
        """The largest number of features taken."""
        ...

    def state(self, features: Float[Array, " features"]) -> Inexact[Array, " amplitudes"]:
        """The state's 2^n amplitudes, real where the embedding can only give real ones."""
        ...


@dataclass(frozen=True)
class AmplitudeEmbedding:
    """Features as amplitudes: zero-padded to 2^n and divided by their L2 norm.

    The norm is ``sqrt(sum(x^2) + 1e-12)``, so that a zero vector gives zero amplitudes (and every observable
    without an identity part the value 0) with finite gradients, where a plain division gives NaN.

    Args:
        n_wires: number of qubits n.
    """

    n_wires: int

    def __post_init__(self) -> None:
        """Check the wires."""
        check_wires(self.n_wires)

    @property
    def n_features(self) -> int:
        """2^n."""
        return 1 << self.n_wires

    def state(self, features: Numbers) -> Float[Array, " amplitudes"]:
        """Normalise and pad.

        Args:
            features: one vector of at most 2^n real numbers.

        Returns:
            The 2^n amplitudes, real.

        Raises:
            CircuitError: more features than amplitudes, or not one vector of real numbers.
        """
        features = one_vector("features", features)
        n_features = features.size
        allowed = f"2**n_wires = {self.n_features} values for amplitude embedding on {self.n_wires} wires"
        check_n_features(n_features, self.n_features, allowed, " Use more wires or fewer features.")
        check_states(self.n_wires)
        unit = features * jax.lax.rsqrt(jnp.sum(features**2) + NORM_FLOOR)
        return jnp.pad(unit, (0, self.n_features - n_features))


@dataclass(frozen=True)
class NoEmbedding:
    """The state |0...0>, whatever the features: for a circuit that reads the features itself.

    Args:
        n_wires: number of qubits n.
        n_features: how many features the circuit reads at most.
    """

    n_wires: int
    n_features: int

    def __post_init__(self) -> None:
        """Check the wires."""
        check_wires(self.n_wires)

    def circuit(self) -> Circuit:
        """No operations."""
        return Circuit(self.n_wires)

    def state(self, features: Numbers) -> Float[Array, " amplitudes"]:
        """|0...0>.

        Args:
            features: one vector of at most as many as the circuit reads.

        Returns:
            The 2^n amplitudes, real.

        Raises:
            CircuitError: more features than the circuit reads, or not one vector of real numbers.
        """
        features = one_vector("features", features)
        check_n_features(features.size, self.n_features, f"the {self.n_features} values that the circuit reads")
        check_states(self.n_wires)
        return jnp.zeros(2**self.n_wires, features.dtype).at[0].set(1)


@dataclass(frozen=True)
class AngleEmbedding:
    """One rotation a wire, from the state |0...0>, by the feature of that wire in radians.

    Args:
        n_wires: number of qubits n; fewer features than wires leave the last wires in |0>.
        rotation: the axis.
    """

    n_wires: int
    rotation: Literal["X", "Y", "Z"] = "Y"

    def __post_init__(self) -> None:
        """Check the wires and the axis."""
        check_wires(self.n_wires)
        if self.rotation not in ("X", "Y", "Z"):
            raise CircuitError.unknown("rotation", self.rotation, ("X", "Y", "Z"))

    @property
    def n_features(self) -> int:
        """One a wire."""
        return self.n_wires

    def circuit(self, n_features: int | None = None) -> Circuit:
        """The rotations as operations, for the first `n_features` wires (by default all)."""
        n = self.n_wires if n_features is None else n_features
        return Circuit(self.n_wires, tuple(Operation(f"R{self.rotation}", (w,), (feature(w),)) for w in range(n)))

    def state(self, features: Numbers) -> Inexact[Array, " amplitudes"]:
        """The product of the rotated wires.

        Args:
            features: one vector of at most n angles in radians.

        Returns:
            The 2^n amplitudes: real for the Y axis, complex otherwise.

        Raises:
            CircuitError: more features than wires, or not one vector of real numbers.
        """
        features = one_vector("features", features)
        n_features = features.size
        check_n_features(n_features, self.n_wires, f"n_wires = {self.n_wires} values for angle embedding")
        check_states(self.n_wires)
        half = jnp.pad(features, (0, self.n_wires - n_features)) / 2
        zero, one = jnp.cos(half), jnp.sin(half)
        if self.rotation == "Y":
            wires = jnp.stack([zero, one], axis=1)
        elif self.rotation == "X":
            wires = jnp.stack([jax.lax.complex(zero, 0 * zero), jax.lax.complex(0 * one, -one)], axis=1)
        else:
            phase = jax.lax.complex(zero, -one)
            wires = jnp.stack([phase, jnp.zeros_like(phase)], axis=1)
        state = wires[0]
        for wire in wires[1:]:
            state = (state[:, None] * wire).reshape(-1)
        return state


def named_embedding(name: EmbeddingName, n_wires: int, n_features: int = 0) -> Embedding:
    """An embedding by the name that networks have for it.

    Args:
        name: ``"amplitude"``; ``"angle"``, one RY a wire; or ``"none"``, for a circuit that reads the features itself.
        n_wires: number of qubits.
        n_features: how many the circuit reads, for ``"none"``; the others take as many as they can.

    Raises:
        CircuitError: an unknown name, no wires, or too many.
    """
    if name == "none":
        return NoEmbedding(n_wires, n_features)
    kinds: dict[str, type[AmplitudeEmbedding] | type[AngleEmbedding]] = {
        "amplitude": AmplitudeEmbedding,
        "angle": AngleEmbedding,
    }
    if name not in kinds:
        raise CircuitError.unknown("name", name, (*kinds, "none"))
    return kinds[name](n_wires)
