"""Write bundles anew whose inputs are called images and normalised, or whose loss is not named: nothing else changes.

python zoo/convert.py zoo/*.safetensors

Each file is replaced after a replay of it has given its recorded test accuracy again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from qdistill import DistilledDataset
from qdistill.distill.bundle_file import pack, unpack
from qdistill.evaluate.protocol import replay
from qdistill.files import write_whole

FIELDS = {"own_images": "own_examples", "images_per_class": "per_class", "images": "inputs"}
"""What fields of the header were called, and are called now."""
TENSORS = {
    "normalisation/mean": "transforms/0/mean",
    "normalisation/std": "transforms/0/std",
    "normalisation/kernel": "transforms/1/kernel",
}
"""What tensors were called, and are called now; `images/low` and `images/step` of eight bits are `inputs/...` too."""
INNER_LOOP, ADDED = "own_examples", {"loss": "cross_entropy"}
"""A field by which an inner loop is known, and what all bundles were trained with before it was a field of that."""


def renamed(plain: Any) -> Any:
    """The header with the present names of its fields."""
    if isinstance(plain, dict):
        fields = {FIELDS.get(name, name): renamed(value) for name, value in plain.items()}
        if "whiten" in fields:
            fields["transforms"] = ["standardise", *(["whiten"] if fields.pop("whiten") else [])]
        return ADDED | fields if INNER_LOOP in fields else fields
    return [renamed(each) for each in plain] if isinstance(plain, list) else plain


def convert(path: Path) -> None:
    """Replace a file, and say what its replay gives."""
    header, arrays = unpack(path)
    named = {TENSORS.get(name, name.replace("images", "inputs")): array for name, array in arrays.items()}
    names = ["standardise", *(["whiten"] if "transforms/1/kernel" in named else [])]
    new = path.with_suffix(".new")
    write_whole(new, pack({"transforms": [{"name": name} for name in names]} | renamed(header), named))
    bundle = DistilledDataset.load(new)
    reached = replay(bundle).test_accuracy
    print(f"{path.stem}: recorded {bundle.record.test_accuracy:.2%}, replayed {reached:.2%}", flush=True)
    after, written = unpack(new)
    same = all(np.array_equal(array, written[name]) for name, array in named.items())
    if not same or any(after[field] != header[field] for field in ("record", "rounding", "weight_names", "data")):
        raise SystemExit(f"{path} would not be what it was, so it is left as it is.")
    if reached != bundle.record.test_accuracy:
        raise SystemExit(f"{path} does not give its recorded test accuracy, so it is left as it is.")
    new.replace(path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        convert(Path(name))
