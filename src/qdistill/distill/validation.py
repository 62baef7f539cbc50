"""A look at the validation part: what networks that train on the synthetic data now reach on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from qdistill.compiling import compiled
from qdistill.data import Splits
from qdistill.distill.inner import InnerLoop, compiled_train, train
from qdistill.distill.measuring import measure
from qdistill.distill.training_set import TrainingSet
from qdistill.distill.unknown import UnknownWeights, over_networks
from qdistill.models import Model
from qdistill.quantum import Hermitian, ideal


@dataclass(frozen=True)
class Validation:
    """What a look at the validation part tells of the averaged data.

    Args:
        accuracy: of the network trained on it, a fraction; for unknown initial weights the mean over draws, as the
            rest.
        loss: its mean loss, as `InnerLoop.loss` says.
        coefficient_norm: the Euclidean norm of the coefficients of all its Hermitians; None without Hermitians.
        draws: the accuracy of each of the networks that were drawn; none for known initial weights.
    """

    accuracy: float
    loss: float
    coefficient_norm: float | None
    draws: tuple[float, ...] = ()


class Look(NamedTuple):
    """What was measured, as arrays.

    Args:
        shares: of the inputs classified right: one number, or one a network.
        loss: the mean loss; of several networks over those whose training stays finite.
        norm: see `Validation.coefficient_norm`, likewise.
    """

    shares: Float[Array, "*networks"]
    loss: Float[Array, ""]
    norm: Float[Array, ""] | None


class ValidationPart:
    """The validation part, and what networks reach on it; what measures them is compiled once.

    Args:
        splits: its inputs and labels, and the transform.
        inner: how networks train.
        unknown: draws them; None where the one that is given trains.
    """

    def __init__(self, splits: Splits, inner: InnerLoop, unknown: UnknownWeights | None) -> None:
        self._splits, self._inner, self._unknown = splits, inner, unknown
        self._measure = compiled(self._of_one if unknown is None else self._of_draws)

    def look(self, model: Model, data: TrainingSet, keys: Array | None) -> Look:
        """Train on the synthetic data, and measure.

        Args:
            model: the initial network, or what it has that is not drawn.
            data: what it trains on.
            keys: a random key for each network that is drawn; for a known one that of its shots, or None.
        """
        part = self._splits.validation
        arrays = jnp.asarray(part.inputs), jnp.asarray(part.labels)
        if self._unknown is None:
            key_train, keys = (None, None) if keys is None else jax.random.split(keys)
            # Not in one program with what follows: a bundle's replay has this one too.
            model = compiled_train(model, data, self._inner, key=key_train)
            result: Look = self._measure(model, *arrays, keys)
        else:
            result = self._measure(model, data, *arrays, keys)
        return result

    def _of_one(self, trained: Model, inputs: Array, labels: Array, key: Array | None) -> Look:
        share, loss = measure(trained, inputs, labels, self._splits.transform, loss=self._inner.loss, key=key)
        nodes = jax.tree.leaves(ideal(trained), is_leaf=lambda node: isinstance(node, Hermitian))
        coefficients = [node.coefficients for node in nodes if isinstance(node, Hermitian)]
        return Look(share, loss, optax.tree.norm(coefficients) if coefficients else None)

    def _of_draws(self, model: Model, data: TrainingSet, inputs: Array, labels: Array, keys: Array) -> Look:
        unknown = self._unknown
        assert unknown is not None

        def one(own: Array) -> Look:
            drawn, schedule = unknown.draw(model, own)
            look = self._of_one(train(drawn, data.with_schedule(schedule), self._inner), inputs, labels, None)
            # A network that does not stay finite is never right, as on the test part.
            return look._replace(shares=jnp.where(jnp.isfinite(look.loss), look.shares, 0.0))

        shares, losses, norms = over_networks(one, keys)
        finite = jnp.isfinite(losses)
        return Look(shares, jnp.mean(losses, where=finite), None if norms is None else jnp.mean(norms, where=finite))
