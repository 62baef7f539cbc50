"""What a page shows of the network and its training, which is replayed: circuits, weights, costs and confusion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.backends.drawing import drawn_as_text
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError, DataError, DivergenceError
from qdistill.evaluate.change import changes
from qdistill.evaluate.confusion import confusion
from qdistill.evaluate.executions import count_executions
from qdistill.models import KernelClassifier, Model, named_weights
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Hermitian,
    NoEmbedding,
    QuantumLayer,
    embedded,
    quantum_layers,
)
from qdistill.report.examples import draw_planes, is_of_vectors
from qdistill.report.gallery import class_names
from qdistill.report.panels import draw_angles, draw_executions
from qdistill.report.style import as_png, as_svg, panel
from qdistill.text import printable


def replayed(
    bundle: DistilledDataset, missing: dict[str, str], data_dir: Path | None, core_seconds: float | None
) -> dict[str, Any]:
    """What needs the network: its training again, and the test set."""
    counted = bundle
    try:
        bundle = bundle.one_draw()
        before = bundle.initial_model()
    except BundleError as error:
        # A network of the user's own, which the file does not describe.
        missing |= dict.fromkeys(("confusion", "weights", "cost"), str(error))
        return {}
    shown: dict[str, Any] = {"cost": _cost(counted, core_seconds)}
    try:
        after = bundle.train()
    except DivergenceError as error:
        missing |= dict.fromkeys(("confusion", "weights"), str(error))
        return shown
    shown["weights"] = _weights(before, after)
    shown["drawings"] = drawings_of(before)
    try:
        raw = bundle.origin.load(data_dir)
    except (BundleError, DataError, ArgumentError) as error:
        dataset, why = printable(bundle.dataset, 60), printable(error, 500)
        fetch = "Name" if "data" in bundle.recipe else f"Fetch it with `qdistill data {dataset}`, or name"
        missing["confusion"] = (
            f"The confusion matrix needs the test set of {dataset}, which is not at hand: {why} {fetch} its folder "
            "with `--data-dir`, and write the report again."
        )
        return shown
    try:
        fitted = bundle.fitted(raw)
        if is_of_vectors(bundle) and bundle.input_shape[0] > 1:
            shown["plane"] = as_png(draw_planes(bundle, fitted, before, after))
        counts = confusion(after, bundle, fitted.test_inputs, fitted.test_labels)
    except (BundleError, DivergenceError) as error:
        missing["confusion"] = f"There is no confusion matrix on the test set at hand. {printable(error, 500)}"
        return shown
    return shown | {"confusion": _confusion(counts, bundle, bundle.recorded_on(raw))}


def drawings_of(model: Model) -> list[dict[str, str]]:
    """The circuits of a network as text, each with what is to be said of it."""
    if isinstance(model, KernelClassifier):
        how = "It maps a point to a state. An entry of the kernel is the fidelity of the states of two points."
        return [{"circuit": drawn_as_text(model.kernel.circuit), "note": how}]
    return [_drawn(layer) for layer in quantum_layers(model)]


def _drawn(layer: QuantumLayer) -> dict[str, str]:
    """A layer's circuit as text, with the gates of its embedding; or with a note of what comes before it."""
    circuit, note, kind = layer.circuit, "", layer.embedding
    if isinstance(kind, AngleEmbedding):
        circuit = embedded(kind, circuit)
    elif isinstance(kind, AmplitudeEmbedding):
        note = "It starts from the state whose amplitudes are the inputs of the layer."
    elif not isinstance(kind, NoEmbedding):
        note = f"Before it comes the embedding {printable(type(kind).__name__, 60)}."
    return {"circuit": drawn_as_text(circuit), "note": note}


def _cost(bundle: DistilledDataset, core_seconds: float | None) -> dict[str, Any]:
    cost = count_executions(bundle, core_seconds=core_seconds)
    if not cost["points"] or cost["trainings"][0]["accuracy"] is None:
        return cost | {"figure": None}
    figure, axes = panel(4.8, 2.6, right=0.98)
    draw_executions(axes, cost)
    return cost | {"figure": as_svg(figure, "executions", "Test accuracy against the circuits of one training")}


def _confusion(counts: np.ndarray, bundle: DistilledDataset, recorded: float | None) -> dict[str, Any]:
    totals = counts.sum(axis=1)
    names = class_names(bundle)
    rows = [
        {
            "class": names[i],
            # Square roots, so that few mistakes are seen beside many right answers.
            "cells": [
                {"n": int(c), "share": round(math.sqrt(c / max(n, 1)), 3), "right": i == j} for j, c in enumerate(row)
            ],
            "recall": float(row[i] / n) if n else None,
        }
        for i, (row, n) in enumerate(zip(counts, totals, strict=True))
    ]
    accuracy = float(np.trace(counts) / counts.sum())
    wrong = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts > 0) if i != j]
    most = [f"{names[i]} as {names[j]} ({n:,})" for n, i, j in sorted(wrong, key=lambda w: (-w[0], *w[1:]))[:3]]
    return {
        "classes": names,
        "rows": rows,
        "accuracy": accuracy,
        "n": int(counts.sum()),
        "recorded": recorded,
        "differs": recorded is not None and round(recorded * counts.sum()) != np.trace(counts),
        "most": most,
    }


def _weights(before: Model, after: Model) -> dict[str, Any]:
    tensors = changes(named_weights(before), named_weights(after))
    shown: dict[str, Any] = {"tensors": tensors, "hermitians": [], "angles": None}
    # A quanvolution comes before the circuit that is meant.
    pairs_of_layers = list(zip(quantum_layers(before), quantum_layers(after), strict=True))
    if not pairs_of_layers:
        return shown
    old, new = pairs_of_layers[-1]
    if old.weights.size:
        shown["angles"] = _angles(np.ravel(old.weights), np.ravel(new.weights))
    if isinstance(old.observable, Hermitian) and len(old.observable.wires[0]) == 1:
        rows = (np.reshape(np.asarray(layer.observable.term_coefficients()), (-1, 4)) for layer in (old, new))
        pairs = zip(*rows, strict=True)
        shown["hermitians"] = [
            {"wire": wires[0], "before": one.tolist(), "after": two.tolist(), "turn": _turn(one[1:], two[1:])}
            for wires, (one, two) in zip(old.observable.wires, pairs, strict=True)
        ]
    return shown


def _turn(before: np.ndarray, after: np.ndarray) -> float | None:
    """By how many degrees the axis of a Hermitian turned; None where it has none."""
    lengths = float(np.linalg.norm(before) * np.linalg.norm(after))
    if lengths == 0:
        return None
    # By the half-angle: an arc cosine near 1 has no digits left in float32.
    one, two = before / np.linalg.norm(before), after / np.linalg.norm(after)
    return math.degrees(2 * math.atan2(float(np.linalg.norm(one - two)), float(np.linalg.norm(one + two))))


def _angles(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    figure, axes = panel(4.8, 2.0, right=0.98)
    draw_angles(axes, before, after)
    moved = np.abs(after - before)
    alt = f"The change of each of {len(before)} angles; the largest is {moved.max():.3g} radians"
    return {
        "figure": as_svg(figure, "angles", alt),
        "n": len(before),
        "largest": float(moved.max()),
        "rows": [(k, float(a), float(b)) for k, (a, b) in enumerate(zip(before, after, strict=True))],
    }
