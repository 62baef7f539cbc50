"""Test accuracy of the default MNIST recipe, of the longer one and of a control, over seeds: the README's table.

    python benchmarks/mnist_accuracy.py RUNS [--seeds 0 1 2]

follows each recipe for each seed into RUNS/mnist-<branch>-<iterations>-<seed>, going on with what was stopped, and
writes `mnist_accuracy.md` beside this script: accuracies, mean and 95 % interval over the seeds (Student's t),
seconds, machine, versions. A seed decides the initial weights, the initial images and the batches.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from qdistill.cli import main as qdistill
from qdistill.evaluate.protocol import interval

ROWS = (("quantum", 6000), ("quantum", 15000), ("removed", 6000))
"""The quantum branch, or the network without it, and the outer iterations."""


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    lines = [
        "# MNIST, 10 images, quantum LeNet (residual, trainable Hermitian) and its control",
        "",
        "Known initial weights; the best images by validation accuracy (5,000 training images); the test set is read",
        "once, at the end. Written by `benchmarks/mnist_accuracy.py`.",
        "",
        "| quantum branch | iterations | test accuracy (n = 10,000), each seed | mean | 95 % interval | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    measured: dict[tuple[str, int], list[float]] = {}
    for branch, iterations in ROWS:
        folders = [options.runs / f"mnist-{branch}-{iterations}-{seed}" for seed in options.seeds]
        for folder, seed in zip(folders, options.seeds, strict=True):
            follow(folder, seed, branch, iterations)
        scores = [json.loads((folder / "scores.json").read_text()) for folder in folders]
        assert all(score["n_test"] == 10_000 for score in scores)
        accuracies = [100 * score["test_accuracy"] for score in scores]
        measured[branch, iterations] = accuracies
        each = ", ".join(f"{a:.2f}" for a in accuracies)
        mean = statistics.mean(accuracies)
        seconds = ", ".join(f"{score['seconds']:.0f}" for score in scores)
        lines.append(f"| {branch} | {iterations:,} | {each} | {mean:.2f} | {span(accuracies)} | {seconds} |")
    pairs = zip(measured["quantum", 6000], measured["removed", 6000], strict=True)
    differences = [quantum - removed for quantum, removed in pairs]
    lines += [
        "",
        f"With the quantum branch minus without, 6,000 iterations, paired by seed: {statistics.mean(differences):+.2f} "
        f"points, 95 % interval {span(differences)}.",
    ]
    provenance = json.loads((folders[0] / "provenance.json").read_text())
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    lines += ["", f"Seeds {options.seeds}. {provenance['machine']}, Python {provenance['python']}, {versions}."]
    table = "\n".join(lines) + "\n"
    Path(__file__).with_suffix(".md").write_text(table)
    print(table)


def follow(folder: Path, seed: int, branch: str, iterations: int) -> None:
    """Follow a recipe to its end, wherever it was stopped."""
    if (folder / "scores.json").exists():
        return
    arguments = ["mnist", "--seed", str(seed), "--model.branch", branch, "--outer.iterations", str(iterations)]
    code = qdistill(
        ["distill", *(["--resume", str(folder)] if folder.exists() else [*arguments, "--out", str(folder)])]
    )
    if code:
        raise SystemExit(code)


def span(values: list[float]) -> str:
    """The mean's 95 % interval as text."""
    ends = interval(values)
    return "-" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"


if __name__ == "__main__":
    main()
