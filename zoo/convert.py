"""Write bundles of the format's versions 1 to 4 anew in the present one, after they gave their recorded accuracy again.

python zoo/convert.py zoo/*.safetensors

Each file is replaced. Its recipe gets the fields that it did not have, with their defaults, and the bundle the digest
of the dataset and what its replay says in float64 and from images with rounding noise.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors import safe_open

from qdistill import DistilledDataset
from qdistill.data import Normalisation, source, split
from qdistill.distill.bundle import Record
from qdistill.distill.eight_bit import unpacked
from qdistill.distill.inner import InnerLoop, TrainingSet
from qdistill.evaluate.rounding import checked
from qdistill.experiments.recipe import Recipe

WEIGHTS = "weights/"


def read(path: Path) -> DistilledDataset:
    """A bundle as versions 1 to 4 have it; what is wrong with it is found by the checks of the present version."""
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["header"])
        arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
    names = header["weight_names"]
    eight_bit = arrays["images"].dtype == np.uint8
    if eight_bit:
        arrays = unpacked(arrays, ["images", *(WEIGHTS + name for name in names)])
    tensors = {name: jnp.asarray(array) for name, array in arrays.items() if name != "schedule"}
    recipe = Recipe.from_json(header["recipe"])
    return DistilledDataset(
        data=TrainingSet(tensors["images"], tensors["labels"], tensors["step_sizes"], arrays["schedule"]),
        initial_weights={name: tensors[WEIGHTS + name] for name in names},
        architecture=recipe.model,
        inner=InnerLoop(**header["inner"]),
        normalisation=Normalisation(
            float(header["normalisation"]["scale"]),
            tensors["normalisation/mean"],
            tensors["normalisation/std"],
            tensors.get("normalisation/kernel"),
        ),
        class_names=tuple(header["class_names"]),
        dataset=header["dataset"],
        recipe=recipe.to_json(),
        provenance=header["provenance"],
        record=Record(**header["record"]),
        data_digest=source(header["dataset"]).load().digest,
        eight_bit=eight_bit,
    )


def convert(path: Path) -> None:
    """Replace a file by one of the present version, and say what was measured on the way."""
    bundle = read(path)
    splits = split(source(bundle.dataset).load(), n_validation=bundle.record.n_validation)
    started = time.monotonic()
    bundle = checked(bundle, splits.validation, splits.test)
    print(f"{path.stem} ({time.monotonic() - started:.0f} s)")
    for part in ("validation", "test"):
        found, recorded = getattr(bundle.rounding, part), getattr(bundle.record, f"{part}_accuracy")
        others = ", ".join(f"{rerun.accuracy:.2%} ({rerun.changed} changed)" for rerun in found.reruns)
        print(f"  {part}: recorded {recorded:.2%}, replayed {found.accuracy:.2%}; float64 and noise: {others}")
        if found.accuracy != recorded:
            raise SystemExit(f"{path} does not give its recorded {part} accuracy, so it is left as it is.")
    bundle.save(path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        convert(Path(name))
