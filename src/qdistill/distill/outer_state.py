"""Where the outer loop stands: what is learned, and everything else that the next iteration depends on."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from qdistill.distill.training_set import TrainingSet
from qdistill.distill.unknown import Partly


class Learned(eqx.Module):
    """The synthetic data in the unconstrained form that the optimiser sees.

    Args:
        inputs: (n, ...), normalised.
        labels: (n, classes).
        raw_step_sizes: (T, groups); the step sizes are their softplus.
    """

    inputs: Float[Array, "n *shape"]
    labels: Float[Array, "n classes"]
    raw_step_sizes: Float[Array, "steps groups"]

    @classmethod
    def with_step_size(cls, inputs: Array, labels: Array, size: float, shape: tuple[int, int]) -> Learned:
        """Inputs and labels with one size for all steps and groups, which `shape` counts."""
        exact = jnp.asarray(size, jnp.float32)
        # The inverse of softplus, in the form that does not overflow.
        raw = exact + jnp.log(-jnp.expm1(-exact))
        return cls(inputs, labels, jnp.full(shape, raw, jnp.float32))

    def training_set(self, schedule: Int[np.ndarray, "steps batch"]) -> TrainingSet:
        """The form that a training reads."""
        return TrainingSet(self.inputs, self.labels, jax.nn.softplus(self.raw_step_sizes), schedule)


class OuterState(eqx.Module):
    """Everything that the next iteration depends on.

    Args:
        iteration: iterations done.
        learned: the synthetic data.
        averaged: its moving average.
        optimiser: the outer optimiser's state.
        norm: running mean of the meta-gradient's norm, 0 before the first accepted iteration.
        rejected: rejected iterations in a row.
        rejected_total: rejected iterations so far.
        best: the averaged data with the highest validation accuracy so far.
        best_accuracy: that accuracy; -1 before the first look.
        best_iteration: when it was seen.
        pool: partly trained networks, see `Initialisation`; None where there is no pool.
    """

    iteration: Int[Array, ""]
    learned: Learned
    averaged: Learned
    optimiser: PyTree
    norm: Float[Array, ""]
    rejected: Int[Array, ""]
    rejected_total: Int[Array, ""]
    best: Learned
    best_accuracy: Float[Array, ""]
    best_iteration: Int[Array, ""]
    pool: Partly | None = None

    @classmethod
    def first(cls, learned: Learned, optimiser: PyTree, pool: Partly | None) -> OuterState:
        """The state before the first iteration."""
        zero = jnp.zeros((), jnp.int32)
        return cls(
            iteration=zero,
            learned=learned,
            averaged=learned,
            optimiser=optimiser,
            norm=jnp.zeros((), jnp.float32),
            rejected=zero,
            rejected_total=zero,
            best=learned,
            # Types are given wherever they would be weak: the second iteration would compile again.
            best_accuracy=jnp.full((), -1.0, jnp.float32),
            best_iteration=zero,
            pool=pool,
        )

    def with_best(self, accuracy: Float[Array, ""]) -> OuterState:
        """The state with the averaged data as the best so far."""
        state: OuterState = eqx.tree_at(
            lambda s: (s.best, s.best_accuracy, s.best_iteration), self, (self.averaged, accuracy, self.iteration)
        )
        return state


class IterationReport(eqx.Module):
    """What one iteration tells.

    Args:
        loss: the meta-objective, on this iteration's real batch.
        norm: the meta-gradient's norm before clipping.
        accepted: whether both were finite; otherwise the state stayed as it was.
    """

    loss: Float[Array, ""]
    norm: Float[Array, ""]
    accepted: Bool[Array, ""]
