"""Measure how few real inputs the networks of the zoo's bundles need: writes the `full-*.json` beside this file.

    python zoo/measure_real_images.py [RECORD ...]

Each record is named by the bundle that it was made for first, such as `full-mnist-qlenet` for `mnist-10-qlenet`, and
has the accuracies of all bundles of that network and dataset as its goals. About ten core-minutes a record on MNIST.
The trainings are in `runs/RECORD`, and the same command goes on with them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from qdistill import DistilledDataset, Recipe
from qdistill.cli.output import say
from qdistill.evaluate.savings import subject
from qdistill.experiments.full_data import SEARCH, measure_full_training
from qdistill.files import write_json

HERE = Path(__file__).parent
CIFAR10 = {"fewest": 16_000, "varied": SEARCH | {"batch": (2, 4, 8), "step_size": (0.0005, 0.001, 0.002)}}
"""About the best of fewer inputs, which were 2 and 0.001 for 4,000 to 16,000."""
CIRCUIT = {"fewest": 4_000, "varied": SEARCH | {"batch": (2, 4, 8), "step_size": (0.02, 0.04, 0.08)}}
"""The angles of a circuit alone take larger steps than a convolution's weights."""

RECORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "full-mnist-qlenet": ("mnist-10-qlenet", {}),
    "full-mnist-qlenet-no-residual": ("mnist-10-qlenet-no-residual", {"fewest": 4_000}),
    "full-mnist-qlenet-fixed-hermitian": ("mnist-10-qlenet-fixed-hermitian", {"fewest": 4_000}),
    "full-cifar10-qlenet": ("cifar10-100-qlenet", CIFAR10),
    "full-mnist-3v5-reuploading": ("mnist-3v5-2-reuploading", CIRCUIT),
}
"""Each record, a bundle that says which network and dataset it is of, and what of the search is not by default."""


def main() -> None:
    """Measure the records that are named, by default all."""
    bundles = [DistilledDataset.load(path) for path in sorted(HERE.glob("*.safetensors"))]
    for name in sys.argv[1:] or RECORDS:
        bundle_name, how = RECORDS[name]
        first = DistilledDataset.load(bundle_name)
        alike = [bundle for bundle in bundles if subject(bundle) == subject(first)]
        goals = sorted({bundle.record.validation_accuracy for bundle in alike} - {None})
        say(f"{name}: validation accuracies of {', '.join(f'{goal:.2%}' for goal in goals)}")
        recipe = Recipe.from_json(first.recipe)
        trials = Path("runs", name)
        record = measure_full_training(recipe, (0, 1, 2), trials, goals=goals, told=say, **how)
        write_json(HERE / f"{name}.json", record)


if __name__ == "__main__":
    main()
