"""What a bundle saves: the circuits of a training on it, beside those of trainings on real inputs.

The trainings on real inputs were measured (`experiments.full_data`) and are kept as JSON beside the zoo's bundles.
Against what a bundle saves stands the classical computing of its distillation.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work, work_of
from qdistill.files import BUNDLE, TIME, parse_json, read_json, read_text, shipped
from qdistill.models import architecture_to_json
from qdistill.quantum import layer_calls
from qdistill.quantum.gates import SPSA_DIRECTIONS, Gradient
from qdistill.run_files import read_core_seconds


@dataclass(frozen=True)
class Training:
    """One training, and what it runs.

    Args:
        name: on which inputs.
        inputs: how many different ones.
        seen: gradient steps times examples a step.
        accuracy: on the test set, a fraction, the mean where there were several seeds; None where it was not measured.
        n_seeds: how many trainings the accuracy is of.
        work: what it runs.
        seen_by_seed: the fewest and the most inputs that one of the seeds needed; None where it is one training, or
            some seed never got there.
    """

    name: str
    inputs: int
    seen: int
    accuracy: float | None
    n_seeds: int
    work: Work
    seen_by_seed: tuple[int, int] | None = None


def find_record(bundle: DistilledDataset) -> dict[str, Any] | None:
    """The record of trainings on real inputs for a bundle's dataset and network; None where there is none."""
    own = subject(bundle)
    for path in sorted(shipped("zoo").glob("full-*.json")):
        record: dict[str, Any] = read_json(path)
        if all(record[key] == value for key, value in own.items()):
            return record
    return None


def read_record(path: Path, bundle: DistilledDataset) -> dict[str, Any]:
    """The record of trainings on real inputs in a file, for a bundle's dataset and network.

    Args:
        path: a JSON file of what `measure_full_training` gave.
        bundle: which the record is to be compared with.

    Raises:
        ArgumentError: the file cannot be read, is no such record, or is one of another dataset or network.
    """
    try:
        record: Any = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"Argument `record` must be a JSON file, but {path}: {error}.") from error
    own = subject(bundle)
    keys = (*own, "full", "subsets")
    missing = [key for key in keys if not isinstance(record, dict) or key not in record]
    if missing:
        raise ArgumentError(f"Argument `record` must be a file that --measure wrote, but {path} has no {missing[0]!r}.")
    for key, value in own.items():
        if record[key] != value:
            raise ArgumentError(
                f"Argument `record` must be of the bundle's {key}, {value!r}, but {path} is of {record[key]!r}."
            )
    for key in ("full", "subsets"):
        rows = record[key]
        bad = [row for row in rows if not _is_row(row)] if isinstance(rows, list) else [rows]
        if bad:
            raise ArgumentError(
                f"Argument `record` must have rows of inputs, seen, validation and test under {key!r}, but in {path} "
                f"one was {bad[0]!r}."
            )
    if not record["full"]:
        raise ArgumentError(f"Argument `record` must have a training on all inputs, but in {path} 'full' is empty.")
    return dict(record)


def distillation_seconds(path: Path) -> float | None:
    """What the distillation of a bundle took, in core-seconds; None where that is not recorded.

    It is not in the bundle, which is the same however often its run was stopped, but in a file beside it.

    Args:
        path: the bundle's file; that of a run folder has the time beside it, and the zoo a file for all of its own.

    Raises:
        RunError: the file beside it is damaged.
    """
    if path.parent.resolve() == shipped("zoo").resolve():
        of_zoo: dict[str, float] = read_json(path.with_name("times.json"), dict[str, float])
        return of_zoo.get(path.stem)
    if path.name != BUNDLE or not path.with_name(TIME).exists():
        return None
    return read_core_seconds(path.parent)


def distillation_note(core_seconds: float | None, circuits: int | None = None) -> str:
    """What a bill says of the distillation itself.

    Args:
        core_seconds: what it took; None: not recorded.
        circuits: what it would take on a quantum computer, as `distillation_circuits` gives it; None: not known.
    """
    taken = (
        "What the distillation itself took is not recorded in the bundle"
        if core_seconds is None
        else f"The distillation itself took {core_seconds / 60:,.1f} minutes of one classical core"
    )
    note = f"{taken}; it was simulated, and is not in these numbers."
    if circuits:
        note += f" On a quantum computer it would take about {float(f'{circuits:.2g}'):,.0f} circuits."
    return note


def distillation_circuits(bundle: DistilledDataset, per_example_gradient: int) -> int | None:
    """The circuits of a distillation whose every gradient is measured on a quantum computer.

    An iteration trains the network on the synthetic examples, which is S example gradients, and takes B on real ones.
    The way back through the training needs the derivative of each of the S gradients along one direction. As a central
    difference, that is two more gradients, so an iteration is 3 S + B example gradients. For unknown initial weights it
    is as many for each network, with S those of a window, and those of the steps before it once more. Looks at the
    validation part are not counted.

    Args:
        bundle: its recipe says how many iterations there were, and B.
        per_example_gradient: circuits of one example gradient.

    Returns:
        None where the bundle has no recipe.
    """
    outer = bundle.recipe.get("outer")
    if outer is None:
        return None
    steps, each_step = bundle.data.schedule.shape
    unknown = bundle.recipe.get("initialisation", {})
    window, networks = unknown.get("window") or steps, unknown.get("networks", 1)
    # Before a window that begins anywhere as often are half of the other steps; a network of a pool takes one.
    before = 0.0 if window == steps else 1.0 if unknown.get("pool") else (steps - window) / 2
    iteration = networks * (each_step * (3 * window + before) + int(outer["batch"]))
    total: int = round(int(outer["iterations"]) * iteration * per_example_gradient)
    return total


def compare(
    bundle: DistilledDataset,
    record: Mapping[str, Any] | None,
    *,
    shots: int,
    gradient: Gradient = "parameter_shift",
    directions: int = SPSA_DIRECTIONS,
    steps: int | None = None,
) -> list[Training]:
    """A training on the bundle, on all real inputs to the same accuracy, and on few of them.

    Args:
        bundle: the distilled data.
        record: what `measure_full_training` gave; None leaves the trainings on real inputs out.
        shots: of each circuit.
        gradient: how gradients are taken.
        directions: that SPSA averages over.
        steps: how many of the bundle's training, from the first; None for all. The accuracy after fewer was not
            measured, so that nothing on real inputs is as good: they go with no record.

    Returns:
        The bundle's training first; the second is the shortest on all inputs to at least the bundle's validation
        accuracy, or the longest that was measured, if none is as good or the bundle's was not measured.

    Raises:
        ArgumentError: no shots or directions, an unknown rule for gradients, steps that the bundle's training does not
            have, or steps with a record.
    """
    schedule, distilled = bundle.data.schedule, bundle.record
    total, accuracy = len(schedule), distilled.test_accuracy
    if steps is not None:
        if not 1 <= steps <= total:
            raise ArgumentError(
                f"Argument `steps` must be from 1 to the {total} of the bundle's training, but was {steps}."
            )
        if record is not None:
            raise ArgumentError(
                "Argument `steps` must be left out beside a record of trainings on real inputs, which are compared "
                f"with the whole training on the bundle, but was {steps}."
            )
        schedule, accuracy = schedule[:steps], accuracy if steps == total else None
    calls = layer_calls(bundle.structure(), bundle.input_shape)

    def training(
        name: str,
        inputs: int,
        seen: int,
        accuracy: float | None,
        n_seeds: int,
        seen_by_seed: tuple[int, int] | None = None,
    ) -> Training:
        work = work_of(calls, seen, shots=shots, gradient=gradient, directions=directions)
        return Training(name, inputs, seen, accuracy, n_seeds, work, seen_by_seed)

    n_inputs, part = len(bundle.data.inputs), "" if steps is None else f", {steps} of {total} steps"
    rows = [training(f"{n_inputs} distilled examples{part}", n_inputs, int(schedule.size), accuracy, 1)]
    if record is None:
        return rows
    goal = distilled.validation_accuracy
    reached = [row for row in record["full"] if goal is not None and statistics.mean(row["validation"]) >= goal]
    row = reached[0] if reached else record["full"][-1]
    name = "all real inputs, to the same validation accuracy" if reached else "all real inputs, as far as measured"
    by_seed = None if goal is None else _seen_by_seed(record["full"], goal)
    rows.append(training(name, row["inputs"], row["seen"], statistics.mean(row["test"]), len(row["test"]), by_seed))
    for row in record["subsets"]:
        rows.append(
            training(
                f"{row['inputs']:,} real inputs",
                row["inputs"],
                row["seen"],
                statistics.mean(row["test"]),
                len(row["test"]),
            )
        )
    return rows


def _seen_by_seed(rows: Sequence[Mapping[str, Any]], goal: float) -> tuple[int, int] | None:
    """The fewest and the most inputs after which one of the seeds first has the accuracy; None where one never has."""
    needed = []
    for validation in zip(*(row["validation"] for row in rows), strict=True):
        enough = [row["seen"] for row, accuracy in zip(rows, validation, strict=True) if accuracy >= goal]
        if not enough:
            return None
        needed.append(enough[0])
    return min(needed), max(needed)


def subject(bundle: DistilledDataset) -> dict[str, Any]:
    """What a record must say of its inputs and network; no record fits a network that the bundle does not describe."""
    model = None if bundle.architecture is None else architecture_to_json(bundle.architecture)
    return {"dataset": bundle.dataset, "model": model, "transforms": bundle.recipe.get("transforms")}


def _is_row(row: Any) -> bool:
    """Whether this is a row of a record: the numbers of inputs, and the accuracies of one seed at least."""
    if not isinstance(row, dict) or not all(type(row.get(name)) is int for name in ("inputs", "seen")):
        return False
    accuracies = [row.get(name) for name in ("validation", "test")]
    return all(isinstance(of, list) and of and all(type(value) in (int, float) for value in of) for of in accuracies)
