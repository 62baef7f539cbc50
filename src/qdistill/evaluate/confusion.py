"""Which classes a network takes for which."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.answers import answers, labelled
from qdistill.models import Model
from qdistill.numbers import Numbers


def confusion(
    model: Model, bundle: DistilledDataset, inputs: Numbers, labels: Numbers
) -> Int[np.ndarray, "classes classes"]:
    """Count the inputs of each class by the class that the network gives them.

    Args:
        model: the network.
        bundle: gives the transform and the number of classes.
        inputs: raw, real, (n, ...), one at least.
        labels: class numbers, integers, (n,).

    Returns:
        Counts: the row is the true class and the column the network's, so the diagonal is what it gets right.

    Raises:
        ArgumentError: inputs that are no real numbers or none at all, or labels that are not one class number for each
            of them.
        DivergenceError: what the network says is not finite.
    """
    inputs, labels = labelled(inputs, labels, bundle.n_classes)
    counts = np.zeros((bundle.n_classes, bundle.n_classes), np.int64)
    np.add.at(counts, (labels, answers(model, bundle.transform, inputs)), 1)
    return counts
