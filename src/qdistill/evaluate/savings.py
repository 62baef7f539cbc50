"""What a bundle saves: the circuits of a training on it, beside those of trainings on real images.

The trainings on real images were measured (`experiments.full_data`) and are kept as JSON beside the zoo's bundles.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.cost import Method, Work, training_work
from qdistill.files import read_json, shipped
from qdistill.models import fields_to_json


@dataclass(frozen=True)
class Training:
    """One training, and what it runs.

    Args:
        name: on which images.
        images: how many different ones.
        seen: gradient steps times images a step.
        accuracy: on the test set, a fraction, the mean where there were several seeds; None where it was not measured.
        n_seeds: how many trainings the accuracy is of.
        work: what it runs.
    """

    name: str
    images: int
    seen: int
    accuracy: float | None
    n_seeds: int
    work: Work


def find_record(bundle: DistilledDataset) -> dict[str, Any] | None:
    """The record of trainings on real images for a bundle's dataset and network; None where there is none."""
    architecture = bundle.architecture
    if architecture is None:
        return None
    model = {"name": type(architecture).__name__, "fields": fields_to_json(architecture)}
    for path in sorted(shipped("zoo").glob("full-*.json")):
        record: dict[str, Any] = read_json(path)
        if (record["dataset"], record["model"]) == (bundle.dataset, model):
            return record
    return None


def compare(
    bundle: DistilledDataset,
    record: Mapping[str, Any] | None,
    *,
    shots: int,
    method: Method = "parameter_shift",
    directions: int = 32,
) -> list[Training]:
    """A training on the bundle, on all real images to the same accuracy, and on few of them.

    Args:
        bundle: the distilled data.
        record: what `measure_full_training` gave; None leaves the trainings on real images out.
        shots: of each circuit.
        method: how gradients are taken.
        directions: that SPSA averages over.

    Returns:
        The bundle's training first; the second is on all images to at least the bundle's validation accuracy, or to
        the highest that was measured, if that is less.

    Raises:
        ArgumentError: no shots or directions, or an unknown method.
    """
    model = bundle.initial_model()

    def training(name: str, images: int, seen: int, accuracy: float | None, n_seeds: int) -> Training:
        work = training_work(model, seen, shots=shots, method=method, directions=directions)
        return Training(name, images, seen, accuracy, n_seeds, work)

    distilled = bundle.record
    n_images, seen = len(bundle.data.images), int(bundle.data.schedule.size)
    rows = [training(f"{n_images} distilled images", n_images, seen, distilled.test_accuracy, 1)]
    if record is None:
        return rows
    goal = distilled.validation_accuracy or 0.0
    reached = [row for row in record["full"] if statistics.mean(row["validation"]) >= goal]
    row = reached[0] if reached else record["full"][-1]
    name = "all real images, to the same validation accuracy" if reached else "all real images, as far as measured"
    rows.append(training(name, row["images"], row["seen"], statistics.mean(row["test"]), len(row["test"])))
    for row in record["subsets"]:
        rows.append(
            training(
                f"{row['images']:,} real images",
                row["images"],
                row["seen"],
                statistics.mean(row["test"]),
                len(row["test"]),
            )
        )
    return rows
