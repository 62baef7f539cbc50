"""What the page of one run shows, from its folder or from a bundle file alone."""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.image import imsave

from qdistill.backends.drawing import drawn_as_text
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError, DataError, DivergenceError, RunError
from qdistill.evaluate.change import changes
from qdistill.evaluate.confusion import confusion
from qdistill.evaluate.executions import count_executions
from qdistill.evaluate.savings import distillation_seconds
from qdistill.files import BUNDLE, METRICS, RECIPE
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
from qdistill.report.examples import draw_planes, draw_tables, is_of_vectors, row_names, table_height
from qdistill.report.figures import as_pictures, columns_of, is_clipped, is_of_components, scale_note
from qdistill.report.panels import (
    draw_angles,
    draw_executions,
    draw_learned_step_sizes,
    draw_loss,
    draw_step_sizes,
    draw_validation,
)
from qdistill.report.style import as_png, as_svg, new_figure, panel, png_address
from qdistill.run_files import read_course, read_landmarks, read_recipe_and_provenance, read_scores
from qdistill.text import printable

KINDS = {
    "QuantumLeNetArchitecture": "a quantum LeNet",
    "LeNetArchitecture": "a classical LeNet",
    "CircuitArchitecture": "a circuit",
    "KernelArchitecture": "a kernel",
    "DataReuploading": "a data re-uploading classifier",
    "CircuitCentric": "a circuit-centric classifier",
    "IQPVariational": "an IQP variational classifier",
    "DressedCircuit": "a dressed circuit",
    "QCNN": "a QCNN",
    "TreeTensor": "a tree tensor network",
}
"""What a page calls the networks."""

_LONGEST_CIRCUIT = 200_000
"""Characters of a circuit that a page shows."""

_MOST_ROWS = 200
"""Of a recipe or of a provenance."""

NO_BUNDLE = f"This run has no {BUNDLE} yet: it has neither ended nor been stopped. Write the report again then."
LOST_BUNDLE = f"This run has ended, but its {BUNDLE} is not in the folder. The command below makes it again."


def gather(path: Path, command_of: Callable[..., str], data_dir: Path | None) -> dict[str, Any]:
    """Everything that the template `run.html.jinja` names.

    Args:
        path: a run folder, or a bundle file.
        command_of: gives the command that repeats a run.
        data_dir: where the dataset's files lie.

    Raises:
        RunError: a file of the folder is damaged.
        BundleError: the bundle is damaged.
    """
    folder = None if path.is_file() else path
    file = path if folder is None else folder / BUNDLE
    bundle = DistilledDataset.load(file) if file.exists() else None
    lines = [] if folder is None else read_course(folder)

    # A folder's name may have a dot in it.
    name = path.resolve().name if path.is_dir() else path.stem
    recipe, provenance = ({}, {}) if folder is None else read_recipe_and_provenance(folder)
    if bundle is not None:
        recipe, provenance = recipe or bundle.recipe, provenance or bundle.provenance
    scores = {} if folder is None else read_scores(folder) or {}
    of = folder / RECIPE if folder is not None and (folder / RECIPE).exists() else file
    command = _commands(naming(command_of, of), recipe, provenance, bundle) if recipe else None
    context: dict[str, Any] = {
        "title": f"{printable(recipe.get('dataset', 'unknown dataset'), 60)}, {name}",
        "lead": _lead(bundle),
        "facts": _facts(bundle, scores),
        "curves": _curves(lines),
        "recipe": flat(recipe),
        "provenance": flat(provenance),
        "command": command,
        "circuits": circuits_of(recipe, command),
        "landmarks": None if folder is None else read_landmarks(folder),
        "missing": {"curves": _why_no_curves(folder)},
    }
    context |= dict.fromkeys(("images", "vectors", "labels", "step_sizes", "plane", "drawings"))
    context |= dict.fromkeys(("confusion", "weights", "cost"))
    if bundle is None:
        why = LOST_BUNDLE if scores else NO_BUNDLE
        context["missing"] |= dict.fromkeys(("images", "confusion", "weights", "cost"), why)
        return context
    context |= {"labels": _labels(bundle), "step_sizes": _step_sizes(bundle)}
    context |= {"known_weights": bundle.is_for_known_weights}
    context |= examples_of(bundle)
    return context | _replayed(bundle, context["missing"], data_dir, distillation_seconds(file))


def _commands(
    command_of: Callable[..., str],
    recipe: dict[str, Any],
    provenance: Mapping[str, Any],
    bundle: DistilledDataset | None,
) -> str:
    """What makes the bundle: the distillation, other numbers of iterations later on, and a rounding."""
    changes = _changes(provenance)
    if changes and isinstance(recipe.get("outer"), dict):
        recipe = recipe | {"outer": recipe["outer"] | {"iterations": changes[0][1]}}
    lines = [command_of(recipe)]
    lines += [f"qdistill distill --resume RUN --iterations {now}  # from iteration {at}" for at, _, now in changes]
    if bundle is not None and bundle.eight_bit:
        lines.append("qdistill compress RUN SMALL.safetensors")
    return "\n".join(lines)


def _changes(provenance: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """From which iteration on a run had another number of iterations, the number before and the number after."""
    found = provenance.get("changes")
    names = ("iteration", "before", "after")
    whole = isinstance(found, list) and all(
        isinstance(change, dict) and all(isinstance(change.get(name), int) for name in names) for change in found
    )
    return [(change["iteration"], change["before"], change["after"]) for change in found or ()] if whole else []


def naming(command_of: Callable[..., str], of: Path) -> Callable[..., str]:
    """The same, but with the file named where it holds no recipe of this version: a RunError."""

    def named(recipe: Mapping[str, Any], seeds: Sequence[int] = ()) -> str:
        try:
            return command_of(recipe, seeds)
        except ArgumentError as error:
            raise RunError(f"Cannot read {of}: {error}") from error

    return named


def flat(plain: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested plain data as rows of a dotted name and a text, and how many more there are than are shown."""
    rows = list(itertools.islice(_rows(plain, ""), _MOST_ROWS))
    more = sum(1 for _ in _rows(plain, "")) - len(rows)
    return [*rows, ("...", f"and {more:,} more")] if more else rows


def _rows(plain: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in plain.items():
        if _is_circuit(value):
            yield prefix + name, f"a circuit of {len(value['operations']):,} operations on {value['n_wires']} wires"
        elif isinstance(value, dict) and value:
            yield from _rows(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            yield from _rows({str(number): part for number, part in enumerate(value, 1)}, f"{prefix}{name}.")
        else:
            shown = " ".join(str(part) for part in value) if isinstance(value, list) else value
            yield printable(prefix + name, 200), printable(shown, 500)


def circuit_file(field: str) -> str:
    """The file that a command names where a network's field is a circuit; a page shows what is to be in it."""
    return f"{field}.json"


def circuits_of(recipe: Mapping[str, Any], command: str | None) -> list[dict[str, str]]:
    """The names and texts of the files that a command names: the circuits of the user's own that a network has."""
    model = recipe.get("model")
    fields = model.get("fields") if isinstance(model, dict) else None
    found = []
    for field, value in fields.items() if isinstance(fields, dict) else ():
        name = circuit_file(field)
        if not _is_circuit(value) or f" {name}" not in (command or ""):
            continue
        text = json.dumps(value)
        if len(text) > _LONGEST_CIRCUIT:
            text = f"Too long for a page: the value of model.fields.{field} in {RECIPE}, {len(text):,} characters."
        found.append({"name": name, "text": text})
    return found


def _is_circuit(value: Any) -> bool:
    return isinstance(value, dict) and {"n_wires", "operations"} <= set(value) and isinstance(value["operations"], list)


def examples_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The examples as `vectors`, as `images`, or as both where vectors come back as images; the other is None."""
    of_vectors = is_of_vectors(bundle)
    return {
        "vectors": vectors_of(bundle) if of_vectors else None,
        "images": picture_groups(bundle) if not of_vectors or is_of_components(bundle) else None,
    }


def picture_groups(bundle: DistilledDataset) -> dict[str, Any]:
    """The images in the groups that are trained on together, each with its label as bars."""
    pictures, scale = as_pictures(bundle)
    labels = np.asarray(bundle.data.labels)
    n, n_classes = labels.shape
    columns = columns_of(bundle, n)
    lowest, highest = min(float(labels.min()), 0.0), max(float(labels.max()), 0.0)
    soft = not bundle.hard_labels
    names, shown = class_names(bundle), []
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        top = int(label.argmax())
        name = names[top]
        shown.append(
            {
                "png": _png(picture, scale),
                "class": name,
                "alt": f"Distilled example {index + 1}, of class {name}",
                "label": "Label: " + ", ".join(f"{c} {v:.2f}" for c, v in zip(names, label, strict=True)),
                "bars": _bars(label, lowest, highest) if soft else [],
            }
        )
    groups = []
    size = n // bundle.inner.steps if bundle.inner.own_examples else n
    for first in range(0, n, size):
        title = f"Step {first // size + 1}" if bundle.inner.own_examples else ""
        groups.append({"title": title, "images": shown[first : first + size]})
    height, width = pictures.shape[1:3]
    scaling = scale_note(bundle).capitalize()
    if not is_clipped(bundle):
        scaling += ", for learned pixels leave the range of real ones on both sides"
    return {
        "groups": groups,
        "columns": columns,
        "shape": f"{width} / {height}",
        "n_classes": n_classes,
        "note": f"{height} x {width} pixels{', of the vectors above' * is_of_components(bundle)}. {scaling}.",
    }


def vectors_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The vectors as the model reads them: as coloured tables, and as numbers."""
    inputs = np.asarray(bundle.data.inputs)
    height = table_height(bundle) + 0.75
    figure = new_figure(9.0, height)
    draw_tables(figure, bundle, bottom=0.35 / height, top=1 - 0.3 / height)
    return {
        "figure": as_png(figure),
        "names": row_names(bundle),
        "columns": inputs.shape[1],
        "rows": inputs.tolist(),
    }


def class_names(bundle: DistilledDataset) -> list[str]:
    """The names of a bundle's classes, no longer than a table has room for."""
    return [printable(name, 60) for name in bundle.class_names]


def _bars(label: Float[np.ndarray, " classes"], lowest: float, highest: float) -> list[dict[str, Any]]:
    """One bar a class, in a box of height 1 that spans all labels of the bundle."""
    top, span = int(label.argmax()), max(highest - lowest, 1e-12)
    return [
        {"x": k + 0.1, "y": (highest - max(v, 0.0)) / span, "height": abs(v) / span, "top": k == top}
        for k, v in enumerate(label.tolist())
    ]


def _png(picture: np.ndarray, scale: Mapping[str, Any]) -> str:
    """A picture as a data URI."""
    content = io.BytesIO()
    imsave(content, picture, format="png", metadata={"Software": "qdistill"}, **scale)
    return png_address(content.getvalue())


def _lead(bundle: DistilledDataset | None) -> str:
    if bundle is None:
        return "A run that has not left a bundle yet."
    n, steps = len(bundle.data.inputs), bundle.inner.total_steps
    kind = "a network that the file does not describe"
    if bundle.architecture is not None:
        kind = KINDS.get(type(bundle.architecture).__name__, f"a {type(bundle.architecture).__name__}")
    dataset = printable(bundle.dataset, 60)
    if bundle.inner.optimiser == "newton":
        return (
            f"{dataset} distilled into {n} support point{'s' * (n != 1)} of {kind}, whose regression is solved at once."
        )
    return (
        f"{dataset} distilled into {n} example{'s' * (n != 1)}, on which {kind} with known initial weights trains "
        f"in {steps} gradient step{'s' * (steps != 1)}."
    )


def _facts(bundle: DistilledDataset | None, scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers that stand out: name, value and what it rests on."""
    if bundle is None:
        return []
    record, facts = bundle.record, []
    read = "read once, at the end" + (", and again after the rounding" if bundle.eight_bit else "")
    for part, note in (("test", read), ("validation", "every choice was made on it")):
        value, n = getattr(record, f"{part}_accuracy"), getattr(record, f"n_{part}")
        shown = "not measured" if value is None else f"{value:.2%}".replace("%", "\u202f%")
        facts.append((f"{part} accuracy", shown, note if value is None else f"n = {n:,}; {note}"))
    n_weights = sum(array.size for array in bundle.initial_weights.values())
    facts += [
        ("examples", f"{len(bundle.data.inputs):,}", f"{bundle.data.schedule.shape[1]:,} in each step"),
        ("training steps", f"{bundle.inner.total_steps:,}", bundle.inner.optimiser.replace("_", " ")),
        ("weights", f"{n_weights:,}", f"in {len(bundle.initial_weights)} arrays"),
    ]
    if "seconds" in scores:
        facts.append(("time", _duration(scores["seconds"]), f"best at iteration {scores['best_iteration']:,}"))
    return facts


def _duration(seconds: float) -> str:
    return f"{seconds:.0f}\u202fs" if seconds < 120 else f"{seconds / 60:.0f}\u202fmin"


def _why_no_curves(folder: Path | None) -> str:
    if folder is None:
        return "A bundle file alone does not tell how its run went; the run folder does."
    return f"The run has not looked at its validation part yet, so {METRICS} is empty."


def _curves(lines: list[dict[str, Any]]) -> list[str] | None:
    if not lines:
        return None
    best = max(line["validation_accuracy"] for line in lines)
    drawn = []
    for name, draw, alt, right in (
        ("loss", draw_loss, "Loss on real training inputs against the iteration", 0.96),
        ("validation", draw_validation, f"Validation accuracy against the iteration; the best is {best:.2%}", 0.96),
        ("learned", draw_learned_step_sizes, "Learned step sizes against the iteration, one line a step", 0.88),
    ):
        figure, axes = panel(right=right)
        draw(axes, lines)
        drawn.append(as_svg(figure, name, alt))
    return drawn


def _labels(bundle: DistilledDataset) -> dict[str, Any]:
    labels = np.asarray(bundle.data.labels)
    return {"classes": class_names(bundle), "rows": labels.tolist()}


def _step_sizes(bundle: DistilledDataset) -> dict[str, Any]:
    sizes = np.asarray(bundle.data.step_sizes)
    figure, axes = panel(4.8, 2.0, right=0.98)
    draw_step_sizes(axes, sizes)
    names = ["all weights"] if sizes.shape[1] == 1 else list(bundle.weight_names)
    return {
        "figure": as_svg(figure, "steps", "The size of every training step, on a logarithmic scale"),
        "names": names,
        "rows": sizes.tolist(),
    }


def _replayed(
    bundle: DistilledDataset, missing: dict[str, str], data_dir: Path | None, core_seconds: float | None
) -> dict[str, Any]:
    """What needs the network: its training again, and the test set."""
    try:
        before = bundle.initial_model()
    except BundleError as error:
        # A network of the user's own, which the file does not describe.
        missing |= dict.fromkeys(("confusion", "weights", "cost"), str(error))
        return {}
    shown: dict[str, Any] = {"cost": _cost(bundle, core_seconds)}
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
