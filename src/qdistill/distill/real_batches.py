"""Batches of real inputs, drawn from the training part."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.data import Splits
from qdistill.data.raw import check_mirror


class RealBatches:
    """Batches of the training part, drawn with replacement and transformed.

    Args:
        splits: real inputs and their transform.
        size: inputs of a batch.
        mirror: flip every second input left to right, on average.

    Raises:
        ArgumentError: inputs that are no images cannot be mirrored.
    """

    def __init__(self, splits: Splits, size: int, *, mirror: bool) -> None:
        if mirror:
            check_mirror(splits.train.inputs.shape[1:])
        self._transform, self._n_classes, self._size, self._mirror = splits.transform, splits.n_classes, size, mirror
        self._is_transformed = _can_be_transformed_once(splits, mirror)
        inputs = splits.train.inputs
        shown = splits.transform.of_many(inputs) if self._is_transformed else jnp.asarray(inputs)
        self.part = (shown, jnp.asarray(splits.train.labels))
        """The training part's inputs as batches are drawn from them, raw or transformed, and their labels."""

    def draw(
        self, part: tuple[Array, Array], key: Array
    ) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch classes"]]:
        """A batch of transformed inputs and their one-hot labels.

        Args:
            part: `part`, as an argument of what is compiled.
            key: random key, consumed.
        """
        with jax.named_scope("real_batch"):
            key_pick, key_mirror = jax.random.split(key)
            inputs, labels = part
            picked = jax.random.randint(key_pick, (self._size,), 0, inputs.shape[0])
            batch = inputs[picked]
            if self._mirror:
                flip = jax.random.bernoulli(key_mirror, shape=(self._size, 1, 1, 1))
                batch = jnp.where(flip, batch[:, :, ::-1], batch)
            if not self._is_transformed:
                batch = self._transform(batch)
            return batch, jax.nn.one_hot(labels[picked], self._n_classes)


def _can_be_transformed_once(splits: Splits, mirror: bool) -> bool:
    """Whether the training part is transformed before a run instead of batch by batch.

    To standardise or rescale a batch takes next to nothing, and raw bytes are a quarter of the memory. A filter would
    take a fifth of an iteration's time; whether images are mirrored before it or after makes no difference. Principal
    components are few numbers, but of images that were mirrored before.
    """
    names = {step.name for step in splits.transform.steps}
    if "pca" in names:
        return not mirror
    return "whiten" in names
