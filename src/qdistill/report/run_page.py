"""What the page of one run shows, from its folder or from a bundle file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.savings import distillation_seconds
from qdistill.files import BUNDLE, METRICS, RECIPE
from qdistill.models import named_weights
from qdistill.report.gallery import examples_of, labels_of, step_sizes_of
from qdistill.report.panels import draw_learned_step_sizes, draw_loss, draw_validation
from qdistill.report.repeat import circuits_of, commands_of, flat, naming
from qdistill.report.replayed import replayed
from qdistill.report.style import as_svg, panel
from qdistill.report.transfer import TRAININGS, draw_transfer
from qdistill.run_files import read_course, read_landmarks, read_recipe_and_provenance, read_scores, read_transfers
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
    command = commands_of(naming(command_of, of), recipe, provenance, bundle) if recipe else None
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
        "transfer": None if folder is None else _transfer(folder),
        "missing": {"curves": _why_no_curves(folder)},
    }
    context |= dict.fromkeys(("images", "vectors", "labels", "step_sizes", "plane", "drawings"))
    context |= dict.fromkeys(("confusion", "weights", "cost"))
    if bundle is None:
        why = LOST_BUNDLE if scores else NO_BUNDLE
        context["missing"] |= dict.fromkeys(("images", "confusion", "weights", "cost"), why)
        return context
    context |= {"labels": labels_of(bundle), "step_sizes": step_sizes_of(bundle)}
    context |= {"known_weights": bundle.is_for_known_weights, "unknown": _unknown(bundle)}
    context |= examples_of(bundle)
    return context | replayed(bundle, context["missing"], data_dir, distillation_seconds(file))


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
        f"{dataset} distilled into {n} example{'s' * (n != 1)}, on which {kind} with "
        f"{'known' if bundle.drawn_anew is None else 'unknown'} initial weights trains "
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
        draws = getattr(record, f"{part}_draws")
        if draws:
            note = f"mean of {len(draws)} draws of the initial weights, the lowest {min(draws):.2%}; {note}"
        facts.append((f"{part} accuracy", shown, note if value is None else f"n = {n:,}; {note}"))
    n_weights = sum(array.size for array in bundle.initial_weights.values())
    if bundle.drawn_anew is not None:
        n_weights = sum(array.size for array in named_weights(bundle.structure()).values())
    facts += [
        ("examples", f"{len(bundle.data.inputs):,}", f"{bundle.data.schedule.shape[1]:,} in each step"),
        ("training steps", f"{bundle.inner.total_steps:,}", bundle.inner.optimiser.replace("_", " ")),
        ("weights", f"{n_weights:,}", f"in {len(bundle.weight_names)} arrays"),
    ]
    if "seconds" in scores:
        facts.append(("time", _duration(scores["seconds"]), f"best at iteration {scores['best_iteration']:,}"))
    return facts


def _transfer(folder: Path) -> dict[str, Any] | None:
    """What other networks reach on the examples, as a table and a heat map."""
    found = read_transfers(folder)
    if found is None or not found["rows"]:
        return None
    best = max(row["evaluation"]["mean"] or 0.0 for row in found["rows"])
    alt = f"Mean test accuracies of other networks that were trained on the examples; the highest is {best:.2%}"
    return {**found, "figure": as_svg(draw_transfer(found["rows"]), "transfer", alt), "trainings": TRAININGS}


def _unknown(bundle: DistilledDataset) -> str | None:
    """What a page says of a bundle for unknown initial weights; None of one for known ones."""
    if bundle.drawn_anew is None:
        return None
    which = "of the quantum layer " if bundle.initial_weights else ""
    return (
        f"They are for any draw of the initial weights {which}from the architecture's distribution; the accuracies are "
        "means over draws that no training of the distillation began with. Regions, confusion matrix and weights below "
        "are those of one draw."
    )


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
