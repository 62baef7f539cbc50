"""Draw the figures of these pages.

    python docs/how/figures.py

`initial-weights.png` trains twenty networks and takes a minute; MNIST must be there or is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from qdistill import DistilledDataset, replay
from qdistill.evaluate.protocol import replay_unknown
from qdistill.quantum import AmplitudeEmbedding, Hermitian, StronglyEntangling, each_wire, layer
from qdistill.report.style import ACCENT, FAINT, INK, MUTED, NORMAL, SECOND, SMALL, dress, new_figure, panel

HERE = Path(__file__).parent


def draw_bilevel() -> None:
    """Two loops as boxes and arrows."""
    figure = new_figure(7.6, 2.9)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 7.6), ylim=(0, 2.9))
    axes.axis("off")

    def box(x: float, y: float, width: float, text: str, color: str = INK) -> None:
        shape = FancyBboxPatch((x, y), width, 0.62, "round,pad=0.06", fill=False, edgecolor=color, linewidth=1.1)
        axes.add_patch(shape)
        axes.text(x + width / 2, y + 0.31, text, ha="center", va="center", size=NORMAL, color=color)

    def arrow(start: tuple[float, float], end: tuple[float, float], color: str, bend: float = 0.0) -> None:
        style = f"arc3,rad={bend}"
        axes.add_patch(
            FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=color, connectionstyle=style)
        )

    box(0.15, 1.9, 1.7, "synthetic data\nimages, labels, step sizes", ACCENT)
    box(0.15, 0.5, 1.7, "initial weights $w_0$")
    for place, name in enumerate(("step 1", "step 2", "...", "step T")):
        box(2.35 + 0.95 * place, 0.5, 0.62, name)
        if place:
            arrow((2.35 + 0.95 * place - 0.24, 0.81), (2.35 + 0.95 * place - 0.06, 0.81), INK)
        if name != "...":
            arrow((1.92, 2.1), (2.35 + 0.95 * place + 0.3, 1.2), ACCENT, -0.12)
    arrow((1.92, 0.81), (2.29, 0.81), INK)
    arrow((5.9, 0.81), (6.09, 0.81), INK)
    box(6.15, 0.5, 1.3, "trained network\non real data: loss")
    arrow((6.8, 1.2), (1.95, 2.5), SECOND, 0.28)
    axes.text(5.75, 2.3, "outer loop: meta-gradient\nback through all steps", color=SECOND, size=SMALL)
    axes.text(4.1, 0.2, "inner loop: T gradient steps", color=MUTED, size=SMALL, ha="center")
    figure.savefig(HERE / "bilevel.png")


def draw_forms() -> None:
    """The rule's estimates for batches of one to four thousand."""
    circuit, wires = StronglyEntangling(6, 4).circuit(), each_wire(6)
    observable = Hermitian(np.ones((6, 4), np.float32), wires)
    batches = np.unique(np.geomspace(1, 4096, 60).astype(int))
    costs = [layer.form_costs(circuit, AmplitudeEmbedding(6), observable, int(batch)) for batch in batches]
    figure, axes = panel(4.6, 2.9)
    names = {"states": "gates on states", "unitary": "shared unitary", "heisenberg": "Heisenberg"}
    for (form, name), color in zip(names.items(), (ACCENT, MUTED, SECOND), strict=True):
        values = np.array([cost[form] for cost in costs]) * 0.4e-6
        axes.loglog(batches, values, color=color, label=name)
    dress(axes, "estimated time of a gradient (ms)", "inputs in the batch")
    axes.legend(fontsize=SMALL, frameon=False)
    figure.savefig(HERE / "forms.png")


def draw_initial_weights() -> None:
    """One dot a training."""
    bundle = DistilledDataset.load("mnist-10-qlenet")
    own = replay(bundle).test_accuracy
    others = replay_unknown(bundle, initialisations=20, key=jax.random.key(0)).test_accuracies
    (HERE / "initial-weights.json").write_text(json.dumps({"own": own, "others": others}) + "\n", encoding="utf-8")
    figure, axes = panel(4.6, 1.9)
    jitter = np.random.default_rng(0).uniform(-0.18, 0.18, len(others))
    axes.axvline(10, color=FAINT, linewidth=0.8, linestyle=":")
    axes.plot(100 * np.array(others), jitter, "o", color=SECOND, markersize=4, alpha=0.7)
    axes.plot([100 * own], [1], "o", color=ACCENT, markersize=6)
    dress(axes, "", "test accuracy (%)")
    axes.set(xlim=(0, 100), ylim=(-0.6, 1.5), yticks=[0, 1], yticklabels=["twenty\nothers", "its own"])
    axes.grid(axis="y", visible=False)
    figure.savefig(HERE / "initial-weights.png")


if __name__ == "__main__":
    draw_bilevel()
    draw_forms()
    draw_initial_weights()
