"""`qdistill diagnose BUNDLE --landscape NETWORK...`: the loss between trainings from different initial weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdistill.cli.diagnosis_folder import folder_of, versions
from qdistill.cli.output import tell
from qdistill.cli.shared import bundle_file, splits_of
from qdistill.cli.transfer import networks_of
from qdistill.files import write_json

if TYPE_CHECKING:
    from qdistill.evaluate.landscape import Landscape, Sampling
    from qdistill.evaluate.transfer import PlainTraining

LANDSCAPE = "landscape.json"
"""The file that is written, beside its figure."""


def diagnose_landscape(
    what: Path,
    words: Sequence[str],
    *,
    sampling: Sampling,
    plain: PlainTraining,
    seed: int,
    out: Path | None,
    data_dir: Path | None,
) -> int:
    """Train, measure, print a row for each network and training, and write all of it; arguments as of `diagnose`.

    Raises:
        BundleError: the bundle does not say how large its validation part is.
    """
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.landscape import landscapes
    from qdistill.models import architecture_to_json
    from qdistill.report.landscape import LANDSCAPE_PICTURE, draw_landscapes

    file = bundle_file(what)
    bundle = DistilledDataset.load(file)
    networks = networks_of(words, bundle.architecture)
    splits = splits_of(bundle, data_dir)
    found: list[Landscape] = []
    with folder_of(out, LANDSCAPE) as folder:
        started = time.monotonic()
        tell(f"{'network':<30} {'trained on':<10} {'accuracy':>8} {'loss on':<10} {'barrier':>8}  95 % interval")
        for one in landscapes(bundle, networks, splits, sampling=sampling, seed=seed, plain=plain):
            found.append(one)
            _print(one)
        content: dict[str, Any] = {
            "bundle": str(what),
            "dataset": bundle.dataset,
            "loss": bundle.inner.loss,
            "networks": {name: architecture_to_json(architecture) for name, architecture in networks.items()},
            "sampling": dataclasses.asdict(sampling),
            "training": dataclasses.asdict(plain),
            "seed": seed,
            "landscapes": [_plain(one) for one in found],
            "versions": versions(),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(folder / LANDSCAPE, content)
        differ = "initial weights" if sampling.drawn == "all" else "the quantum layer's initial weights"
        title = f"{bundle.dataset}: {sampling.pairs} pairs of trainings that differ in {differ}"
        picture = draw_landscapes(found, title, folder / LANDSCAPE_PICTURE)
        tell(f"Written: {folder / LANDSCAPE}, {picture}")
    return 0


def _print(one: Landscape) -> None:
    accuracy = sum(one.accuracies) / len(one.accuracies)
    for on, barrier in one.barriers.items():
        bounds = "" if barrier.interval is None else f"{barrier.interval[0]:.3f} to {barrier.interval[1]:.3f}"
        tell(f"{one.network:<30} {one.trained_on:<10} {accuracy:>8.2%} {on:<10} {barrier.mean:>8.3f}  {bounds}")


def _plain(one: Landscape) -> dict[str, Any]:
    import jax
    import numpy as np

    def number(value: Any) -> Any:
        return np.round(value, 6).tolist() if isinstance(value, np.ndarray) else value

    plain: dict[str, Any] = jax.tree.map(number, dataclasses.asdict(one))
    return plain
