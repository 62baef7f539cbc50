"""The meta-gradient for unknown initial weights: its mean over networks that are drawn anew in every iteration.

Each network trains on the synthetic data, for the whole training or up to the end of a window in it, and the objective
gives the meta-gradient of what came out. A window begins where a network that was drawn just now has been trained to
without gradient, or where one of a pool stands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from qdistill.distill.cores import over_devices
from qdistill.distill.descent import descend, initial_state, loss_gradient
from qdistill.distill.initialisation import DrawnAnew, Initialisation, drawn_names, drawn_schedule, with_drawn
from qdistill.distill.inner import InnerLoop
from qdistill.distill.objective import MetaObjective
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Model

Batch = Callable[[Array], tuple[Float[Array, "batch *shape"], Float[Array, "batch classes"]]]
"""A random key -> real inputs and their labels."""

_Result = TypeVar("_Result")


class Partly(eqx.Module):
    """Where the training of a network stands.

    Args:
        weights: the network's arrays of floating-point numbers.
        optimiser: the inner optimiser's state.
        schedule: the examples of each step of its whole training.
        step: how many steps are done.
    """

    weights: PyTree
    optimiser: PyTree
    schedule: Int[Array, "*pool steps batch"]
    step: Int[Array, "*pool"]


class UnknownWeights:
    """Networks that are drawn anew, and the mean of their meta-gradients.

    Args:
        initialisation: what is drawn, and how many networks an iteration trains.
        build: random key -> a network of the architecture.
        like: one of them, for its structure.
        inner: how they train.
        objective: what gives a network's meta-gradient.
        n_examples: how many synthetic examples there are.

    Raises:
        ArgumentError: what is asked for does not fit the network or its training.
    """

    def __init__(
        self,
        initialisation: Initialisation,
        build: Callable[[Array], Model],
        like: Model,
        inner: InnerLoop,
        objective: MetaObjective,
        n_examples: int,
    ) -> None:
        initialisation.check(inner)
        self.initialisation, self._build, self._inner, self._objective = initialisation, build, inner, objective
        self._window = inner.total_steps if initialisation.window is None else initialisation.window
        self._schedule = inner.schedule(n_examples)
        self._n_examples = n_examples
        self._names = drawn_names(initialisation, like)
        _, self._static = eqx.partition(like, eqx.is_inexact_array)

    @property
    def drawn_anew(self) -> DrawnAnew:
        """What a bundle says of it."""
        return DrawnAnew(self._names, self.initialisation.order)

    def draw(self, known: Model, key: Array) -> tuple[Model, Int[Array, "steps batch"]]:
        """A network, and the examples that each step of its training sees.

        Args:
            known: has the weights that are not drawn.
            key: random key, consumed.
        """
        key_weights, key_order = jax.random.split(key)
        model = with_drawn(known, self._build(key_weights), self._names)
        if self.initialisation.order == "random":
            return model, drawn_schedule(self._inner, self._n_examples, key=key_order)
        return model, jnp.asarray(self._schedule)

    def meta_gradient(
        self, data: TrainingSet, known: Model, batch: Batch, pool: Partly | None, key: Array
    ) -> tuple[Float[Array, ""], TrainingSet, Partly | None]:
        """The mean over K networks of the objective and of its gradient.

        Args:
            data: the synthetic data.
            known: see `draw`.
            batch: draws real inputs; each network has its own.
            pool: partly trained networks, or None where there is no pool.
            key: random key, consumed.

        Returns:
            The objective, its gradient with respect to the arrays of `data` (None for the schedule), and the pool as it
            is after the iteration.
        """
        key_pick, key_networks = jax.random.split(key)
        count = self.initialisation.networks
        keys = jax.random.split(key_networks, count)
        if pool is None:
            losses, slopes = over_networks(lambda own: self._of_new(data, known, batch, own), keys)
            return jnp.mean(losses), _mean(slopes), None
        picked = jax.random.choice(key_pick, len(pool.step), (count,), replace=False)
        places = jax.tree.map(lambda a: a[picked], pool)
        losses, slopes, renewed = over_networks(lambda own: self._of_pool(data, known, batch, *own), (places, keys))
        pool = jax.tree.map(lambda all_of_them, new: all_of_them.at[picked].set(new), pool, renewed)
        return jnp.mean(losses), _mean(slopes), pool

    def _of_new(self, data: TrainingSet, known: Model, batch: Batch, key: Array) -> tuple[Array, TrainingSet]:
        """The objective and its gradient for a network that is drawn now."""
        key_network, key_batch, key_window = jax.random.split(key, 3)
        if self.initialisation.window is None:
            model, schedule = self.draw(known, key_network)
            return self._objective.value_and_gradient(
                data.with_schedule(schedule), model, self._inner, *batch(key_batch)
            )
        place = self.untrained(known, key_network)
        first = jax.random.randint(key_window, (), 0, self._inner.total_steps - self._window + 1, jnp.int32)
        return self._of_window(data, self._train_to(data, place, first), *batch(key_batch))

    def _of_pool(
        self, data: TrainingSet, known: Model, batch: Batch, place: Partly, key: Array
    ) -> tuple[Array, TrainingSet, Partly]:
        """The same for one of the pool, with what takes its place in it."""
        key_network, key_batch = jax.random.split(key)
        loss, slope = self._of_window(data, place, *batch(key_batch))
        after = self._train_to(data, place, place.step + 1)
        has_room = after.step + self._window <= self._inner.total_steps
        goes_on = has_room & all_finite(after.weights)
        return loss, slope, jax.lax.cond(goes_on, lambda: after, lambda: self.untrained(known, key_network))

    def _of_window(self, data: TrainingSet, place: Partly, inputs: Array, labels: Array) -> tuple[Array, TrainingSet]:
        """The objective after a window's steps from where a network stands, and its gradient through these steps."""
        length, first = self._window, place.step
        inner = dataclasses.replace(self._inner, steps=length, epochs=1)
        part = data.with_schedule(jax.lax.dynamic_slice_in_dim(place.schedule, first, length))
        sizes = jax.lax.dynamic_slice_in_dim(data.step_sizes, first, length)
        part = eqx.tree_at(lambda d: d.step_sizes, part, sizes)
        model: Model = eqx.combine(place.weights, self._static)
        loss, slope = self._objective.value_and_gradient(
            part, model, inner, inputs, labels, optimiser_state=place.optimiser
        )
        # The other steps' sizes have no part in it.
        whole = jax.lax.dynamic_update_slice_in_dim(jnp.zeros_like(data.step_sizes), slope.step_sizes, first, 0)
        return loss, eqx.tree_at(lambda d: d.step_sizes, slope, whole)

    def untrained(self, known: Model, key: Array) -> Partly:
        """A network that is drawn now, before its first step."""
        model, schedule = self.draw(known, key)
        weights = eqx.filter(model, eqx.is_inexact_array)
        return Partly(weights, initial_state(self._inner.optimiser, weights), schedule, jnp.zeros((), jnp.int32))

    def _train_to(self, data: TrainingSet, place: Partly, step: Int[Array, ""]) -> Partly:
        """Train on, without gradient, until so many steps are done."""
        data = jax.lax.stop_gradient(eqx.filter(data, eqx.is_inexact_array))
        gradient = loss_gradient(self._static, self._inner.loss)

        def one(number: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            weights, optimiser = carry
            inputs, labels = data.inputs, data.labels
            if self._inner.own_examples:
                picked = place.schedule[number]
                inputs, labels = inputs[picked], labels[picked]
            slopes = gradient(weights, inputs, labels, None)
            return descend(self._inner.optimiser, weights, optimiser, slopes, data.step_sizes[number])

        weights, optimiser = jax.lax.fori_loop(place.step, step, one, (place.weights, place.optimiser))
        return Partly(weights, optimiser, place.schedule, jnp.asarray(step, jnp.int32))


@eqx.filter_jit
def at_start(unknown: UnknownWeights, known: Model, keys: Array, key: Array) -> tuple[Bool[Array, ""], Partly | None]:
    """What there is before the first iteration; compiled once for all seeds of a problem.

    Args:
        unknown: draws the networks.
        known: has the weights that are not drawn.
        keys: of the networks for validation.
        key: random key, consumed, for the pool.

    Returns:
        Whether all weights of the networks for validation are finite; and the pool of untrained networks, or None where
        there is none.
    """
    finite = jnp.all(over_networks(lambda own: all_finite(unknown.draw(known, own)[0]), keys))
    if unknown.initialisation.pool is None:
        return finite, None
    keys = jax.random.split(key, unknown.initialisation.pool)
    pool: Partly = over_networks(lambda own: unknown.untrained(known, own), keys)
    return finite, pool


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether all floating-point numbers of a tree are finite."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))


def over_networks(function: Callable[..., _Result], own: PyTree) -> _Result:
    """What a function gives for each network, stacked; where devices share the networks out, each takes its part.

    A core takes one after the other, whose products fill its caches; an accelerator takes all of its part at once.

    Args:
        function: of what one network has of its own.
        own: that of all networks, with an axis of networks in front of every array.
    """

    def of_part(part: PyTree) -> _Result:
        results: _Result = jax.lax.map(function, part) if jax.default_backend() == "cpu" else jax.vmap(function)(part)
        return results

    return over_devices(of_part, own)


def _mean(stacked: PyTree) -> PyTree:
    return jax.tree.map(lambda a: jnp.mean(a, axis=0), stacked)
