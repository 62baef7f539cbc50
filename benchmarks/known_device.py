"""Whether inputs that were distilled for a noisy device do better on it: MNIST, the default recipe, fewer iterations.

    python benchmarks/known_device.py RUNS [--iterations 3000] [--seeds 0 1 2] [--draws 1]

distils for exact simulation and for each device, the same number of iterations, into folders of RUNS, going on with
what was stopped; replays each on the devices, training and test from shots; and writes `known_device.md` beside this
script. Pairs share the seed, and so the initial weights, the initial inputs and the real batches.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.noisy import replay_noisy
from qdistill.evaluate.protocol import interval
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.progress import ProgressDisplay
from qdistill.experiments.provenance import made_with
from qdistill.experiments.recipe import Device, Recipe
from qdistill.experiments.run import run_missing
from qdistill.files import BUNDLE, TIME, read_json

DEVICES = {"FakeSherbrooke": Device("fake_sherbrooke", 4096), "FakeMelbourne": Device("fake_melbourne", 4096)}
"""A device of 2023 with 0.7 % of error a CNOT, and one of 2018 with 2.6 %."""


def main() -> None:
    """Distil what is missing, replay, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=1)
    options = parser.parse_args()

    default = default_recipe("mnist")
    recipe = dataclasses.replace(default, outer=dataclasses.replace(default.outer, iterations=options.iterations))
    unaware = distil(recipe, options.seeds, options.runs / "exact")
    lines = [
        "# Inputs that know their device",
        "",
        f"MNIST, ten inputs, {options.iterations:,} iterations of the default recipe, test accuracy on the device",
        f"(training and test, 4,096 shots a setting, draws: {options.draws}, n = 10,000), seeds {options.seeds}.",
        "Written by `benchmarks/known_device.py`.",
        "",
        "| device | distilled for exact simulation | distilled for the device | gain, 95 % interval | core-minutes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, device in DEVICES.items():
        aware = distil(dataclasses.replace(recipe, device=device), options.seeds, options.runs / name)
        without, with_it = (
            [on_device(folder, device, options.draws) for folder in folders] for folders in (unaware, aware)
        )
        minutes = statistics.mean(read_json(folder / TIME)["core_seconds"] for folder in aware) / 60
        gains = [100 * (b - a) for a, b in zip(without, with_it, strict=True)]
        cells = [
            name,
            spelled(without),
            spelled(with_it),
            f"{statistics.mean(gains):+.2f}{span(gains)}",
            f"{minutes:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    seconds = statistics.mean(read_json(folder / TIME)["core_seconds"] for folder in unaware)
    lines += [
        "",
        f"Without a device a distillation took {seconds / 60:.1f} core-minutes. {'; '.join(made_with(unaware))}.",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def distil(recipe: Recipe, seeds: Sequence[int], folder: Path) -> list[Path]:
    """The run folders of a recipe, one a seed, each run to its end."""
    folders = [folder / f"seed-{seed}" for seed in seeds]
    for seed, own in zip(seeds, folders, strict=True):
        run_missing([dataclasses.replace(recipe, seed=seed)], [own], observer=ProgressDisplay())
    return folders


def on_device(folder: Path, device: Device, draws: int) -> float:
    """The mean test accuracy of replays on the device."""
    started = time.monotonic()
    bundle = DistilledDataset.load(folder / BUNDLE)
    # Sampled shots and the exact noise of the preparation, where the distillation has approximations of both.
    execution = dataclasses.replace(device.execution(6), estimator="samples", preparation="exact")
    found = replay_noisy(bundle, execution, draws=draws, key=jax.random.key(0))
    print(f"{folder} on {device.name}: {found.test_accuracies}, {time.monotonic() - started:.0f} s", flush=True)
    return found.mean


def spelled(accuracies: Sequence[float]) -> str:
    """The mean, and each seed's."""
    return f"{statistics.mean(accuracies):.2%} ({', '.join(f'{100 * a:.2f}' for a in accuracies)})"


def span(values: Sequence[float]) -> str:
    """The 95 % interval of a mean, in brackets; nothing for a single value."""
    bounds = interval(values)
    return "" if bounds is None else f" ({bounds[0]:+.2f} to {bounds[1]:+.2f})"


if __name__ == "__main__":
    main()
