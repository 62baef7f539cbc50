"""Which classes a network takes for which."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from qdistill.data import Normalisation
from qdistill.distill.bundle import DistilledDataset
from qdistill.models import Model, predict

_SLICE = 250  # images evaluated at once, as `distill.inner.accuracy` does


def confusion(
    model: Model, bundle: DistilledDataset, images: np.ndarray, labels: np.ndarray
) -> Int[np.ndarray, "classes classes"]:
    """Count the images of each class by the class that the network gives them.

    Args:
        model: the network.
        bundle: gives the normalisation and the number of classes.
        images: raw pixels, (n, height, width, channels).
        labels: class numbers, (n,).

    Returns:
        Counts: the row is the true class and the column the network's, so the diagonal is what it gets right.
    """
    counts = np.zeros((bundle.n_classes, bundle.n_classes), np.int64)
    for start in range(0, len(labels), _SLICE):
        given = _classify(model, jnp.asarray(images[start : start + _SLICE]), bundle.normalisation)
        np.add.at(counts, (labels[start : start + _SLICE], np.asarray(given)), 1)
    return counts


@eqx.filter_jit
def _classify(model: Model, images: Array, normalisation: Normalisation) -> Array:
    return jnp.argmax(predict(model, normalisation(images)), axis=-1)
