"""A small bundle that the tests of other networks share."""

from __future__ import annotations

import jax
import numpy as np

from qdistill.data import source
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.initialisation import DrawnAnew
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Architecture, named_weights


def bundle_of_moons(
    architecture: Architecture,
    inner: InnerLoop,
    sizes: tuple[float, float],
    *,
    per_class: int,
    n_validation: int,
    fitted_on: np.ndarray | None = None,
) -> DistilledDataset:
    """Real points of two moons with one-hot labels, for unknown weights.

    Args:
        architecture: the network.
        inner: its training.
        sizes: the step sizes of both its weight tensors, the same in each step.
        per_class: points of each class, which take turns.
        n_validation: of the record.
        fitted_on: what the points are standardised by; all training points by default.
    """
    raw = source("moons").load()
    transform = fit_chain((Standardise(),), raw.train_inputs if fitted_on is None else fitted_on, raw.scale)
    picked = [np.flatnonzero(raw.train_labels == k)[i] for i in range(per_class) for k in range(2)]
    names = tuple(named_weights(architecture.build((2,), 2, key=jax.random.key(0))))
    return DistilledDataset(
        data=TrainingSet(
            transform(raw.train_inputs[picked]),
            np.eye(2, dtype=np.float32)[raw.train_labels[picked]],
            np.full((inner.total_steps, 2), sizes, np.float32),
            inner.schedule(len(picked)),
        ),
        initial_weights={},
        weight_names=names,
        drawn_anew=DrawnAnew(names),
        architecture=architecture,
        inner=inner,
        transform=transform,
        class_names=raw.class_names,
        dataset="moons",
        recipe={},
        provenance={},
        record=Record(n_validation=n_validation),
    )
