"""What a meta-gradient changes: it is clipped, the optimiser follows it, and the moving average follows that."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from qdistill.distill.outer_state import IterationReport, Learned, OuterState


@dataclass(frozen=True)
class Update:
    """How one iteration moves what is learned.

    Args:
        optimiser: of what is learned.
        clip: see `OuterLoop`.
        average: see `OuterLoop`.
        fixed: the parts of `Learned` that stay as they start.
    """

    optimiser: optax.GradientTransformation
    clip: float
    average: float
    fixed: tuple[str, ...]

    def __call__(
        self, state: OuterState, loss: Float[Array, ""], gradient: Learned
    ) -> tuple[OuterState, IterationReport]:
        """The next state; a meta-gradient that is not finite changes nothing but the counts."""
        gradient = self._with_fixed(jax.tree.map(jnp.zeros_like, gradient), gradient)
        norm = optax.tree.norm(gradient)
        accepted = jnp.isfinite(loss) & jnp.isfinite(norm)
        mean_norm = jnp.where(state.norm == 0, norm, 0.9 * state.norm + 0.1 * norm)
        if self.clip:
            limit = self.clip * jnp.where(state.norm == 0, norm, state.norm)
            # Where the norm is zero there is nothing to hold back, and no number to divide by.
            factor = jnp.where(norm > limit, limit / norm, 1.0)
            gradient = jax.tree.map(lambda g: g * factor, gradient)
            mean_norm = jnp.where(state.norm == 0, norm, 0.9 * state.norm + 0.1 * jnp.minimum(norm, limit))
        updates, optimiser = self.optimiser.update(gradient, state.optimiser, state.learned)
        learned = optax.apply_updates(state.learned, updates)
        # Without a gradient, weight decay would still move what is fixed.
        learned = self._with_fixed(state.learned, learned)
        # Early on the average forgets faster, or it would hang on to the start.
        decay = jnp.minimum(self.average, (1.0 + state.iteration) / (10.0 + state.iteration))
        averaged = optax.incremental_update(learned, state.averaged, 1.0 - decay if self.average else 1.0)
        # A mean of equal numbers may be a rounding away from them.
        averaged = self._with_fixed(state.averaged, averaged)

        proposed = eqx.tree_at(
            lambda s: (s.learned, s.averaged, s.optimiser, s.norm), state, (learned, averaged, optimiser, mean_norm)
        )
        kept = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
        counted = eqx.tree_at(
            lambda s: (s.iteration, s.rejected, s.rejected_total),
            kept,
            (
                state.iteration + 1,
                jnp.where(accepted, 0, state.rejected + 1),
                state.rejected_total + ~accepted,
            ),
        )
        return counted, IterationReport(loss, norm, accepted)

    def _with_fixed(self, fixed: Learned, learned: Learned) -> Learned:
        """The fixed parts of one, and the other parts of another."""
        for name in self.fixed:
            learned = eqx.tree_at(operator.attrgetter(name), learned, getattr(fixed, name))
        return learned
