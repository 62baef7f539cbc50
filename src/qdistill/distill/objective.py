"""What the synthetic data is optimised for: a meta-objective gives its value and exact gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.cores import REAL_INPUTS, Part, total
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.losses import total_loss
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Model, predict
from qdistill.numbers import Numbers, real


@runtime_checkable
class MetaObjective(Protocol):
    """A scalar function of the synthetic data, with its gradient."""

    def value_and_gradient(
        self,
        data: TrainingSet,
        model: Model,
        inner: InnerLoop,
        inputs: Float[Array, "batch *shape"],
        labels: Float[Array, "batch classes"],
        key: Array | None = None,
        *,
        optimiser_state: PyTree | None = None,
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """The objective and its gradient with respect to the arrays of `data` (None for the schedule).

        Args:
            data: the synthetic data.
            model: the initial network.
            inner: how it trains.
            inputs: a batch of real inputs, normalised.
            labels: their labels, one-hot.
            key: random key, consumed, where the network has layers that take shots; None elsewhere.
            optimiser_state: of the inner optimiser where the training begins, for a window in a longer training;
                see `inner.train`. It has no gradient.
        """
        ...


@dataclass(frozen=True)
class PerformanceMatching:
    """The loss on real inputs of the network that was trained on the synthetic ones.

    The exact gradient goes back through every step of that training. The real batch is read in slices, so that
    a slice's activations stay in the processor's cache; slices change the result to rounding only. Where devices share
    an iteration (`distill.cores`), each has slices of its part of the batch.

    Args:
        slice_size: the largest number of real inputs in one slice. 32 measured fastest on a CPU core.
        memory_budget: bytes that the steps of the training may keep for the way back. Where that is too little, some
            keep nothing and are run again: the gradient is the same, a fifth to four fifths slower. What one step
            and one slice need while they are computed comes on top. None stands for a quarter of the memory of the
            accelerator, or of the main memory that this process may use where there is none.

    Raises:
        ArgumentError: by `value_and_gradient`, where the budget is too small for any way.

    Reference:
        Wang et al., arXiv 1811.10959.
    """

    slice_size: int = 32
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        if self.slice_size < 1:
            raise ArgumentError(f"Argument `slice_size` must be at least 1, but was {self.slice_size}.")
        if self.memory_budget is not None and self.memory_budget < 1:
            raise ArgumentError(f"Argument `memory_budget` must be at least 1 byte, but was {self.memory_budget}.")

    def value_and_gradient(
        self,
        data: TrainingSet,
        model: Model,
        inner: InnerLoop,
        inputs: Numbers,
        labels: Numbers,
        key: Array | None = None,
        *,
        optimiser_state: PyTree | None = None,
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """See `MetaObjective`."""
        key_train, keys = None, None
        inputs, labels = real("inputs", inputs), real("labels", labels)
        batch = inputs.shape[0]
        if key is not None:
            key_train, keys = self._keys(key, batch)
        learned, schedule = eqx.partition(data, eqx.is_inexact_array)
        _, static = eqx.partition(model, eqx.is_inexact_array)

        def trained_weights(learned: TrainingSet) -> Model:
            with jax.named_scope("inner_training"):
                trained = train(
                    model,
                    eqx.combine(learned, schedule),
                    inner,
                    key=key_train,
                    memory_budget=self.memory_budget,
                    optimiser_state=optimiser_state,
                )
            weights: Model = eqx.filter(trained, eqx.is_inexact_array)
            return weights

        def slice_loss(weights: Model, inputs: Array, labels: Array, keys: Array | None, counts: Array | None) -> Array:
            logits = predict(eqx.combine(weights, static), inputs, key=keys)
            return total_loss(inner.loss, logits, labels, counts)

        def add_slice(so_far: tuple[Array, Model], now: tuple[Any, ...]) -> tuple[tuple[Array, Model], None]:
            with jax.named_scope("real_inputs"):
                return jax.tree.map(jnp.add, so_far, jax.value_and_grad(slice_loss)(weights, *now)), None

        weights, pull_back = jax.vjp(trained_weights, learned)
        part = Part(batch, REAL_INPUTS)
        own = (*part.of((inputs, labels, keys)), part.counts)
        size = min(part.size, self.slice_size)
        whole = part.size - part.size % size
        zero = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), weights))
        slices = jax.tree.map(lambda a: a[:whole].reshape(-1, size, *a.shape[1:]), own)
        sums, _ = jax.lax.scan(add_slice, zero, slices)
        if whole < part.size:
            sums, _ = add_slice(sums, jax.tree.map(lambda a: a[whole:], own))
        loss, cotangent = jax.tree.map(lambda a: a / batch, total(sums, REAL_INPUTS))
        (gradient,) = pull_back(cotangent)
        return loss, gradient

    def _keys(self, key: Array, batch: int) -> tuple[Array, Array]:
        """A key for the training, and one for each real input, on however many devices."""
        key_train, key_rest, key_slices = jax.random.split(key, 3)
        size = min(batch, self.slice_size)
        of_slices = jax.random.split(key_slices, batch // size)
        keys = jax.vmap(lambda own: jax.random.split(own, size))(of_slices).reshape(-1)
        if batch % size:
            keys = jnp.concatenate([keys, jax.random.split(key_rest, batch % size)])
        return key_train, keys
