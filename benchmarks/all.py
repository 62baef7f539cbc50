"""Every benchmark of speed in one run: writes `RESULTS.md` and `speed.png` beside this script.

    python benchmarks/all.py [--quick] [--out FOLDER]

runs `layer.py`, `classifiers.py`, `iteration.py`, `cores.py` and `growth.py` one after the other, each of which can be
run alone; half an hour or more on two cores. `--quick` is a smoke test of a few minutes whose figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HERE = Path(__file__).parent
PARTS = ("layer", "classifiers", "iteration", "cores", "growth")
OURS = "qdistill"
COLOURS = {
    OURS: "#0b6e99",
    "PennyLane default.qubit": "#c8324a",
    "PennyLane lightning.qubit": "#e58a8a",
    "TensorCircuit-NG": "#c98a1b",
    "DeepQuantum": "#6a51a3",
    "JAX, gate by gate": "#666666",
}


def main() -> None:
    """Run the parts, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = {name: run(name, Path(folder), quick=options.quick) for name in PARTS}
    minutes = (time.monotonic() - started) / 60
    (options.out / "RESULTS.md").write_text(report(found, minutes), encoding="utf-8")
    draw(found, options.out / "speed.png")
    print(f"\nAll of it took {minutes:.1f} minutes. The results are in {options.out / 'RESULTS.md'} and speed.png.")


def run(name: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark in a process of its own; what it prints is shown."""
    print(f"--- {name}.py", flush=True)
    path = folder / f"{name}.json"
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(path), *(["--quick"] if quick else [])]
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def report(found: dict[str, Any], minutes: float) -> str:
    """The results as Markdown."""
    layer, classifiers, iteration, cores, growth = (found[name] for name in PARTS)
    machine = layer["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    backends = {row["backend"] for row in growth["rows"] if "backend" in row}
    gpu = "a GPU ran the seeds" if backends - {"cpu"} else "no GPU was at hand"
    lines = [
        "# How fast it is",
        "",
        f"`make bench` writes this; its five parts took {minutes:.0f} minutes; {gpu}. {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory GiB']} GiB, {machine['system']}, Python {machine['python']}, "
        f"{versions}.",
        "",
        "One core, unless a line says otherwise. Whatever is compared was called in turn, in one process; a ratio is",
        "the median of the ratios of neighbouring samples, with the smallest and the largest. Outcomes were compared",
        "first: the layer's and the classifiers' to 2e-4 of the largest entry (the meta-gradient to 1e-3, DeepQuantum",
        "to 2e-3), the iteration's as its tables say. The layer's features are not negative, as after a ReLU.",
        "",
        "![Speed](speed.png)",
        "",
        *_layer(layer["cells"]),
        *_classifiers(classifiers["rows"]),
        *_iteration(iteration["datasets"]),
        *_cores(cores),
        *_growth(growth["rows"]),
    ]
    return "\n".join(lines) + "\n"


def _layer(cells: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["## The quantum layer", ""]
    sizes = dict.fromkeys((cell["wires"], cell["batch"], cell["kind"]) for cell in cells)
    header = ("wires", "inputs", "what", "implementation", "ms", "times ours", "compile, s", "temporary MB")
    rows = []
    for size in sizes:
        for cell in (c for c in cells if (c["wires"], c["batch"], c["kind"]) == size):
            if cell["milliseconds"] is not None:
                rows.append(
                    (
                        *size,
                        cell["implementation"] + (f" ({cell['note']})" if cell["note"] else ""),
                        f"{cell['milliseconds']['median']:.3g}",
                        _spread(cell["ratio_to_ours"]),
                        _number(cell["compile_seconds"], ".1f"),
                        _number(cell["temporary_megabytes"], ".3g"),
                    )
                )
    lines += _table(header, rows)
    left_out = [c for c in cells if c["skipped"]]
    if left_out:
        lines += ["", "Left out:", ""]
        lines += [
            f"- {c['implementation']}, {c['wires']} wires, {c['batch']} inputs, {c['kind']}: {c['skipped']}"
            for c in left_out
        ]
    return [*lines, ""]


def _classifiers(rows: Sequence[dict[str, Any]]) -> list[str]:
    header = ("classifier", "inputs", "implementation", "ms", "times ours", "compile, s")
    cells = [
        (
            row["classifier"],
            row["inputs"],
            row["implementation"],
            f"{row['milliseconds']['median']:.3g}",
            _spread(row["ratio_to_ours"]),
            _number(row["compile_seconds"], ".1f"),
        )
        for row in rows
    ]
    return ["## Circuits that read the inputs: the gradient of a classifier", "", *_table(header, cells), ""]


def _iteration(datasets: dict[str, Any]) -> list[str]:
    lines = ["## The outer iteration of the default recipes, with plain gradient steps and 256 real inputs", ""]
    for dataset, found in datasets.items():
        rows = [
            (
                name,
                f"{version['ms']['median']:.1f}",
                _spread(version.get("ratio")),
                _number(version.get("compile_seconds"), ".1f"),
                _number(version.get("inputs_per_second"), ",.0f"),
                _number(version.get("relative_difference"), ".1g"),
            )
            for name, version in found["meta_gradient"].items()
        ]
        header = ("version", "ms", "times ours", "compile, s", "inputs a second", "difference, least of three draws")
        rate = found["rate"]
        peak = rate["matrix_product"]["operations_per_second"]["median"]
        lines += [f"### {dataset}: one meta-gradient", "", *_table(header, rows), ""]
        needed = sum(rate["needed_operations"].values())
        lines += [
            "The difference is the largest of any result, relative to the largest entry of its array. Of three draws",
            "of the synthetic examples the least is given: where rounding puts two versions on different sides of a",
            "kink of a ReLU or of the pooling, their gradients are a jump apart, and at a recipe's own start that has",
            "been seen.",
            "",
            f"The mathematics needs {needed / 1e6:,.0f} million floating-point operations: "
            f"{rate['operations_per_second']['median'] / 1e9:.1f} GFLOP/s, {_percent(rate['share'])} of the "
            f"{peak / 1e9:.0f} GFLOP/s of a matrix product in the same run.",
            "",
        ]
        whole = {name: row for name, row in found["iteration"].items() if isinstance(row, dict)}
        rows = [
            (name, f"{row['iterations_per_second']['median']:.1f}", _spread(row["ratio"]))
            for name, row in whole.items()
        ]
        lines += [f"### {dataset}: the whole iteration, as a run makes it", ""]
        lines += [*_table(("on", "iterations a second", "times one thread"), rows), ""]
        rows = [
            (
                row["part"],
                row["pass"],
                row["inputs"],
                f"{row['ms']['median']:.4f}",
                f"{row['operations_per_second'] / 1e9:.1f}",
                f"{row['share']:.0%}",
                f"{row['operations_per_byte']:.1f}",
                f"{row['roof']['memory']:.0%}",
                f"{row['roof']['cache']:.0%}",
            )
            for row in found["parts"]["rows"]
        ]
        header = ("part", "pass", "inputs", "ms", "GFLOP/s", "share", "operations a byte", "roof in memory", "in cache")
        lines += [f"### {dataset}: each part alone, under its roof", ""]
        lines += [
            "The share is of the matrix product's rate; the roof is the most that the bandwidth of the memory, or of",
            "the cache, lets through at that many operations a byte.",
            "",
            *_table(header, rows),
            "",
        ]
    return lines


def _cores(found: dict[str, Any]) -> list[str]:
    lines = [
        "## One run on two cores",
        "",
        f"An iteration as a run makes it; load {found['load before']:.1f} before.",
        "",
    ]
    rows = [
        (name, f"{row['one']['median']:.1f}", f"{row['two']['median']:.1f}", _spread(row["ratio"]))
        for name, row in found["recipes"].items()
    ]
    return [*lines, *_table(("recipe", "one core, ms", "two cores, ms", "times as fast"), rows), ""]


def _growth(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["## How the cost grows", ""]
    gradients = [row for row in rows if row["measure"] == "meta_gradient"]
    lines += ["One meta-gradient of the default MNIST recipe, with one thing changed.", ""]
    lines += _table(
        ("changed", "to", "ms", "compile, s", "temporary MiB", "peak of the process, MiB"),
        [
            (
                row["of"],
                row["value"],
                f"{row['ms']:.1f}",
                f"{row['compile_s']:.1f}",
                f"{row['temporary_mib']:.1f}",
                f"{row['process_mib']:,.0f}",
            )
            for row in gradients
        ],
    )
    lines += ["", "Seeds side by side, one whole iteration of the default MNIST recipe:", ""]
    lines += _table(
        ("seeds", "devices", "ms", "ms a seed", "compile, s"),
        [
            (
                row["value"],
                f"{row['devices']} x {row['backend']}",
                f"{row['ms']:.1f}",
                f"{row['ms_per_seed']:.1f}",
                f"{row['compile_s']:.1f}",
            )
            for row in rows
            if row["measure"] == "side_by_side"
        ],
    )
    starts = [row["ms"] / 1e3 for row in rows if row["measure"] == "start"]
    lines += ["", "`qdistill distill mnist`, from the start of the process to the end of the first iteration: "]
    lines += [f"{starts[0]:.1f} s the first time, {starts[1]:.1f} s the second (compiled programs are kept)."]
    return lines


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in row) + " |" for row in cells]


def _spread(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _percent(share: dict[str, float]) -> str:
    return f"{share['median']:.0%} ({share['min']:.0%} to {share['max']:.0%})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def draw(found: dict[str, Any], path: Path) -> None:
    """The figure: the layer's gradient against wires, its derivatives at 6 wires, the iteration, the growth with T."""
    figure = Figure(figsize=(11, 7), dpi=150, facecolor="white", layout="constrained")
    panels = figure.subplots(2, 2)
    cells = [cell for cell in found["layer"]["cells"] if cell["milliseconds"] is not None]

    axes = panels[0, 0]
    names = list(dict.fromkeys(cell["implementation"] for cell in cells))
    for name in names:
        points = sorted(
            (cell["wires"], cell["milliseconds"]["median"])
            for cell in cells
            if (cell["implementation"], cell["batch"], cell["kind"]) == (name, 1024, "gradient")
        )
        if points:
            axes.plot(*zip(*points, strict=True), "o-", markersize=4, color=COLOURS.get(name), label=name)
    axes.set_yscale("log")
    axes.set(title="Gradient of the quantum layer, 1,024 inputs", xlabel="wires", ylabel="ms")
    axes.legend(fontsize=8, frameon=False)

    axes = panels[0, 1]
    kinds = list(dict.fromkeys(cell["kind"] for cell in cells))
    others = [name for name in names if name != OURS]
    height = 0.8 / max(len(others), 1)
    for place, name in enumerate(others):
        for row, kind in enumerate(kinds):
            ratios = [
                cell["ratio_to_ours"]["median"]
                for cell in cells
                if (cell["implementation"], cell["kind"], cell["wires"], cell["batch"]) == (name, kind, 6, 1024)
            ]
            for value in ratios:
                axes.barh(row + (place + 0.5) * height - 0.4, value, height, color=COLOURS.get(name))
                axes.text(value, row + (place + 0.5) * height - 0.4, f" {value:.1f}", fontsize=7, va="center")
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.axvline(1, color="#222222", linewidth=0.8)
    axes.set_xscale("log")
    axes.set(title="6 wires, 1,024 inputs: how many times our time", xlabel="ratio")

    axes = panels[1, 0]
    place = 0
    labels = []
    for dataset, part in found["iteration"]["datasets"].items():
        for name, version in part["meta_gradient"].items():
            axes.barh(place, version["ms"]["median"], color=COLOURS[OURS] if name == "ours" else "#9a9a9a")
            axes.text(version["ms"]["median"], place, f" {version['ms']['median']:.0f} ms", fontsize=8, va="center")
            labels.append(f"{dataset}: {name}")
            place += 1
    axes.set_yticks(range(place), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title="One meta-gradient (plain steps, 256 real inputs), one core", xlabel="ms")

    axes = panels[1, 1]
    memory = axes.twinx()
    for of, style in (
        ("T", "o-"),
        *((row["of"], "s--") for row in found["growth"]["rows"] if row["of"].startswith("T, ")),
    ):
        points = [row for row in found["growth"]["rows"] if row["of"] == of]
        steps = [row["value"] for row in points]
        axes.plot(steps, [row["ms"] for row in points], style, color=COLOURS[OURS], markersize=4)
        memory.plot(
            steps,
            [row["temporary_mib"] for row in points],
            style,
            color=COLOURS["PennyLane default.qubit"],
            markersize=4,
        )
    for each, label, colour in (
        (axes, "ms", COLOURS[OURS]),
        (memory, "temporary MiB", COLOURS["PennyLane default.qubit"]),
    ):
        each.set_yscale("log")
        each.set_ylabel(label, color=colour)
    axes.set_xscale("log")
    axes.set(title="Growth with T (dashed: a tight memory budget)", xlabel="inner steps T")
    for each in panels.ravel():
        each.title.set_fontsize(10)
        each.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
