"""Which initial weights the synthetic data is for: one known draw of them, or any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models import Model, named_weights, with_weights
from qdistill.quantum import QuantumLayer

Order = Literal["fixed", "random"]


@dataclass(frozen=True)
class Initialisation:
    """Which initial weights the synthetic data is for, and over which of them an iteration takes its mean.

    All fields but the first are for unknown weights only.

    Args:
        weights: ``"known"``, one draw, which the bundle holds; ``"unknown"``, any draw of the architecture's
            distribution: every iteration trains networks that are drawn anew (the "random initialisation" of Wang et
            al., arXiv 1811.10959), and every accuracy is a mean over draws.
        drawn: what is unknown: ``"all"`` weights, or those of the ``"quantum"`` layers, angles and observables; the
            others are one draw then, which the bundle holds.
        networks: K, how many an iteration trains; their meta-gradients are averaged.
        window: the last steps of a training that the meta-gradient goes through. The training ends at a random step,
            from the window's length on; what comes before the window is without gradient (RaT-BPTT, Feng et al.,
            arXiv 2311.07025). None for all steps of the whole training.
        pool: partly trained networks that are kept. An iteration takes K of them, at random, lets the window begin
            where each of them stands, and trains each by one step more; a network that has no room left for a window
            gives its place to one that is drawn anew (FRePo, Zhou et al., arXiv 2206.00719). None for no pool: the
            steps before a window are run in every iteration.
        order: of the examples where each step has its own: ``"fixed"``, or ``"random"``, drawn anew for each network
            and epoch, so that the examples are good in any order.
        validation_draws: networks that a look at the validation part trains, always the same, from draws that no
            iteration uses.
        test_draws: networks that the test accuracy at the end is a mean over, from draws that nothing before used.
    """

    weights: Literal["known", "unknown"] = "known"
    drawn: Literal["all", "quantum"] = "all"
    networks: int = 2
    window: int | None = None
    pool: int | None = None
    order: Order = "fixed"
    validation_draws: int = 10
    test_draws: int = 20

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for field in fields(Initialisation):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise ArgumentError(f"Argument `{field.name}` must be at least 1, but was {value}.")
            if self.is_known and value != field.default:
                raise ArgumentError(
                    f"Argument `{field.name}` must be left out where `weights` is 'known', but was {value!r}."
                )
        if self.pool is not None and self.window is None:
            raise ArgumentError(
                f"Argument `pool` must be given together with `window`, for all of its networks would stay untrained "
                f"without, but was {self.pool}."
            )
        if self.pool is not None and self.pool < self.networks:
            raise ArgumentError(
                f"Argument `pool` must be at least the {self.networks} `networks` that an iteration takes from it, but "
                f"was {self.pool}."
            )

    @property
    def is_known(self) -> bool:
        """Whether the data is for one draw alone."""
        return self.weights == "known"

    def check(self, inner: InnerLoop) -> None:
        """Make sure that a training of these steps has what is asked for.

        Raises:
            ArgumentError: it has not.
        """
        if self.is_known:
            return
        if inner.optimiser == "newton":
            raise ArgumentError(
                "Argument `weights` must be 'known' for a network with a closed form, such as a kernel, which has no "
                f"training for initial weights to matter in, but was {self.weights!r}."
            )
        steps = inner.total_steps
        if self.window is not None and self.window > steps:
            raise ArgumentError(
                f"Argument `window` must be at most the {steps} steps of the training, but was {self.window}."
            )
        if self.pool is not None and self.window == steps:
            raise ArgumentError(
                f"Argument `window` must be less than the {steps} steps of the training where there is a `pool`, but "
                f"was {self.window}."
            )
        if self.order == "random" and not inner.own_examples:
            raise ArgumentError(
                "Argument `order` must be 'fixed' where every step sees all examples (`inner.own_examples` is false), "
                "but was 'random'."
            )


@dataclass(frozen=True)
class DrawnAnew:
    """What of a training is drawn anew each time, as a bundle for unknown weights says it.

    Args:
        weights: the names of those that the architecture draws, in the network's order; the others are in the bundle.
        order: of the examples, see `Initialisation`.
    """

    weights: tuple[str, ...]
    order: Order = "fixed"

    def __post_init__(self) -> None:
        """Check the fields, that something is drawn, and nothing twice."""
        check_fields(self)
        if not self.weights or len(set(self.weights)) < len(self.weights):
            raise ArgumentError(f"Argument `weights` must be different names, one at least, but was {self.weights}.")


def drawn_names(initialisation: Initialisation, model: Model) -> tuple[str, ...]:
    """The names of the weights that are drawn anew, in the network's order.

    Raises:
        ArgumentError: the network has none.
    """
    names = tuple(named_weights(model) if initialisation.drawn == "all" else _names_in_quantum_layers(model))
    if not names:
        raise ArgumentError(
            f"Argument `drawn` must be 'all' for a network without weights in a quantum layer, but was "
            f"{initialisation.drawn!r}."
        )
    return names


def _names_in_quantum_layers(model: Model) -> Iterable[str]:
    def is_layer(node: object) -> bool:
        return isinstance(node, QuantumLayer)

    def mark(node: object) -> object:
        return jax.tree.map(lambda _: is_layer(node), node)

    marked = jax.tree.map(mark, eqx.filter(model, eqx.is_inexact_array), is_leaf=is_layer)
    return (name for name, inside in zip(named_weights(model), jax.tree.leaves(marked), strict=True) if inside)


def with_drawn(known: Model, drawn: Model, names: tuple[str, ...]) -> Model:
    """A network with the named weights of one draw, and the others of another."""
    own, new = named_weights(known), named_weights(drawn)
    if len(names) == len(new):
        return drawn
    return with_weights(known, own | {name: new[name] for name in names})


def drawn_schedule(inner: InnerLoop, n_examples: int, *, key: Array) -> Int[Array, "steps batch"]:
    """Which examples each step sees, in an order of its own in every epoch.

    Args:
        inner: the numbers of steps and epochs; each step has examples of its own.
        n_examples: how many there are.
        key: random key, consumed.
    """
    keys = jax.random.split(key, inner.epochs)
    orders = jax.vmap(lambda own: jax.random.permutation(own, n_examples))(keys)
    return jnp.reshape(orders, (inner.total_steps, -1)).astype(np.int32)
