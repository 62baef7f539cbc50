"""What the JSON files of a run folder hold, and how they are read: in their shape, or with an error that names a place.

A file of valid JSON may still be damaged, or be another program's. Behind these functions every field that is named
here is there, and of its type.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from qdistill.errors import RunError
from qdistill.fields import MOST_SEEDS
from qdistill.files import (
    FULL_TRAINING,
    LANDMARKS,
    METRICS,
    PROFILE,
    PROVENANCE,
    RECIPE,
    SCORES,
    SEARCH,
    SEEDS,
    TABLE,
    TIME,
    TRANSFER,
    TRIALS,
    check_shape,
    read_json,
    read_json_lines,
)


class Look(TypedDict):
    """One look at the validation part: a line of `metrics.jsonl`, as far as pictures need it."""

    iteration: int
    loss: float | None
    validation_accuracy: float
    step_sizes: list[list[float]]
    validation_spread: NotRequired[float | None]


class LookOfTable(TypedDict):
    """A line of `metrics.jsonl` as the course of a table's rows needs it."""

    iteration: int
    validation_loss: float
    rejected: int
    coefficient_norm: NotRequired[float | None]
    gradient_norm: NotRequired[float | None]


class RunScores(TypedDict):
    """`scores.json` of a run that has ended."""

    test_accuracy: float | None
    n_test: int | None
    validation_accuracy: float | None
    n_validation: int | None
    best_iteration: int
    rejected: int
    seconds: float


class TrainingScores(TypedDict):
    """`scores.json` of a training on all inputs."""

    test_accuracy: float
    validation_accuracy: float
    n_test: int
    steps: int
    inputs_seen: int
    core_seconds: float
    gpu_seconds: NotRequired[float | None]


class SeedScores(TypedDict):
    """`scores.json` of several seeds."""

    mean: float | None
    interval: tuple[float, float] | None


class LandmarkAccuracies(TypedDict):
    """What one way to choose support points gave, in `landmarks.json`."""

    test_accuracies: list[float]
    mean: float | None
    interval: tuple[float, float] | None
    n_test: int


class LandmarkRow(TypedDict):
    """One way to choose support points, in `landmarks.json`."""

    points: str
    labels: str
    circuits: int
    evaluation: LandmarkAccuracies


class Landmarks(TypedDict):
    """`landmarks.json` of a run whose kernel's points were compared with chosen ones."""

    points: int
    rows: list[LandmarkRow]


class TransferRow(TypedDict):
    """What networks of one architecture reach on a bundle's examples, in `transfer.json`."""

    network: str
    training: str
    labels: str
    learning_rate: float | None
    steps: int
    circuits: int
    evaluation: LandmarkAccuracies
    spread: float | None
    worst: float


class Transfers(TypedDict):
    """`transfer.json` of a run whose examples other networks were trained on."""

    distilled_for: Literal["known", "unknown"]
    draws: int
    rows: list[TransferRow]


class ProfileRow(TypedDict):
    """A part of the network in `profile.json`, and what it takes of an iteration."""

    part: str
    phase: str
    ms: float
    operations: float


class RunProfile(TypedDict):
    """`profile.json`."""

    iteration_ms: float
    traced_ms: float
    rows: list[ProfileRow]


class TableRow(TypedDict):
    """A row of `table.json`; the last two are of a table of replayed bundles."""

    name: str
    title: str
    group: str
    recipe: str
    seeds: list[int]
    asked: int
    test_accuracies: list[float]
    mean: float
    interval: tuple[float, float] | None
    n_test: int
    published: float | None
    examples: int | None
    steps: int
    circuits: int
    circuits_of_all: int | None
    core_minutes: float | None
    gpu_minutes: float | None
    bundle: NotRequired[str]
    recorded: NotRequired[float]


class TableDifference(TypedDict):
    """What two rows of `table.json` differ by."""

    minuend: str
    subtrahend: str
    titles: tuple[str, str]
    mean: float
    interval: tuple[float, float] | None
    n: int
    text: str


class TableOfRuns(TypedDict):
    """`table.json`."""

    title: str
    command: str
    note: str | None
    groups: dict[str, str]
    made_with: list[str]
    rows: list[TableRow]
    by_steps: list[str]
    differences: list[TableDifference]


RUNGS = 3
"""Of a search: where its trials pause, after a ninth and after a third of their iterations, and their ends."""


class LookOfTrial(TypedDict):
    """What a trial of a search gave at a rung."""

    iteration: int
    validation_accuracy: float
    core_seconds: float
    spent: float


class TrialOfSearch(TypedDict):
    """A line of `trials.jsonl`."""

    number: int
    values: dict[str, Any]
    state: Literal["running", "waiting", "ended", "diverged", "failed", "refused"]
    looks: list[LookOfTrial]
    core_seconds: float
    message: str | None


class BestOfSearch(TypedDict):
    """The best trial of a search, in `search.json`; the test accuracy of a recipe with several seeds is their mean."""

    trial: int
    validation_accuracy: float
    test_accuracy: float | None
    n_test: int | None


class Search(TypedDict):
    """`search.json`."""

    recipe: dict[str, Any]
    space: dict[str, Any]
    seeds: list[int]
    best: BestOfSearch | None
    importances: dict[str, float]
    made_with: list[str]


class Time(TypedDict):
    """`time.json`."""

    core_seconds: float
    seconds: NotRequired[float]
    gpu_seconds: NotRequired[float]


def read_course(folder: Path, shape: Literal["run", "table"] = "run") -> list[dict[str, Any]]:
    """The looks at the validation part that a run has written down so far.

    Args:
        folder: of the run.
        shape: whether each is a `Look` or a `LookOfTable`.

    Raises:
        RunError: a line is damaged, or has other step sizes than the one before it.
    """
    path = folder / METRICS
    lines: list[dict[str, Any]] = [
        # A validation loss that is not finite is a result: the training on the inputs diverged.
        check_shape(line, Look, where, finite=True) if shape == "run" else check_shape(line, LookOfTable, where)
        for line, where in ((line, f"line {n} of {path}") for n, line in enumerate(read_json_lines(path), start=1))
    ]
    if shape == "run":
        sizes = [[len(step) for step in line["step_sizes"]] for line in lines]
        if any(each != sizes[0] or not each or min(each) < 1 or len(set(each)) > 1 for each in sizes):
            raise RunError(f"Cannot read {path}: `step_sizes` must have as many steps and sizes a step in every line.")
    return lines


def read_seeds(folder: Path) -> list[int]:
    """The seeds that ran side by side in a folder.

    Raises:
        RunError: `seeds.json` is missing, damaged, or holds no different seeds.
    """
    seeds: list[int] = read_json(folder / SEEDS, list[int])
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < MOST_SEEDS for seed in seeds):
        raise RunError(f"Cannot read {folder / SEEDS}: it must hold different seeds, but holds {seeds[:10]}.")
    return seeds


def read_landmarks(folder: Path) -> Landmarks | None:
    """What chosen points give beside a run's distilled ones; None where that was not measured.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / LANDMARKS
    landmarks: Landmarks | None = read_json(path, Landmarks, finite=True) if path.exists() else None
    return landmarks


def read_transfers(folder: Path) -> Transfers | None:
    """What other networks reach on a run's examples; None where that was not measured.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / TRANSFER
    transfers: Transfers | None = read_json(path, Transfers, finite=True) if path.exists() else None
    return transfers


def read_scores(folder: Path) -> dict[str, Any] | None:
    """The scores of a run, or of a training on all inputs; None where it has not ended.

    Raises:
        RunError: damaged.
    """
    if not (folder / SCORES).exists():
        return None
    shape = TrainingScores if (folder / FULL_TRAINING).exists() else RunScores
    scores: dict[str, Any] = read_json(folder / SCORES, shape, finite=True)
    for part in ("test", "validation"):
        if scores[f"{part}_accuracy"] is not None and scores.get(f"n_{part}", 1) is None:
            raise RunError(f"Cannot read {folder / SCORES}: `n_{part}` must be given with `{part}_accuracy`.")
    return scores


def read_final_scores(folder: Path, *, on_all_inputs: bool) -> dict[str, Any] | None:
    """The scores of a run, or of a training on all inputs, that was measured on the test set; None without scores.

    Raises:
        RunError: damaged, or without a test accuracy.
    """
    if not (folder / SCORES).exists():
        return None
    scores: dict[str, Any] = read_json(folder / SCORES, TrainingScores if on_all_inputs else RunScores, finite=True)
    if scores["test_accuracy"] is None or scores["n_test"] is None:
        raise RunError(f"Cannot read {folder / SCORES}: `test_accuracy` and `n_test` must be numbers.")
    return scores


def read_recipe_and_provenance(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both as plain data, to be shown; empty where they are missing.

    Raises:
        RunError: one of them is damaged, or no object.
    """
    recipe, provenance = (
        read_json(folder / name, dict[str, Any]) if (folder / name).exists() else {} for name in (RECIPE, PROVENANCE)
    )
    return recipe, provenance


def read_profile(folder: Path) -> dict[str, Any]:
    """Where the time of a run's iterations goes, as a `RunProfile`.

    Raises:
        RunError: missing or damaged.
    """
    profile: dict[str, Any] = read_json(folder / PROFILE, RunProfile, finite=True)
    if not profile["rows"] or not all(row["ms"] >= 0 for row in profile["rows"]):
        raise RunError(f"Cannot read {folder / PROFILE}: `rows` must have times of at least 0, for one part at least.")
    return profile


def read_results(folder: Path) -> dict[str, Any]:
    """What the rows of a table gave, as a `TableOfRuns`.

    Raises:
        RunError: missing or damaged.
    """
    path = folder / TABLE
    table: dict[str, Any] = read_json(path, TableOfRuns, finite=True)
    for place, row in enumerate(table["rows"]):
        if ("bundle" in row) != ("recorded" in row):
            raise RunError(f"Cannot read {path}: `rows[{place}].bundle` and `recorded` must be given together.")
        if not row["seeds"] or not row["test_accuracies"]:
            raise RunError(f"Cannot read {path}: `rows[{place}]` must have a seed and an accuracy at least.")
    return table


def read_search(folder: Path) -> dict[str, Any]:
    """What is searched in a folder, and what came out so far, as a `Search`.

    Raises:
        RunError: missing or damaged.
    """
    search: dict[str, Any] = read_json(folder / SEARCH, Search, finite=True)
    return search


def read_trials(folder: Path, fields: Collection[str]) -> list[dict[str, Any]]:
    """The trials of a search so far, each as a `TrialOfSearch`.

    Args:
        folder: of the search.
        fields: that are searched.

    Raises:
        RunError: a line is damaged, or has other fields.
    """
    path = folder / TRIALS
    lines: list[dict[str, Any]] = [
        check_shape(line, TrialOfSearch, f"line {n} of {path}", finite=True)
        for n, line in enumerate(read_json_lines(path), start=1)
    ]
    if [line["number"] for line in lines] != list(range(len(lines))):
        raise RunError(f"Cannot read {path}: its trials must have as `number` 0, 1, 2 and so on.")
    for line in lines:
        if set(line["values"]) != set(fields) or len(line["looks"]) > RUNGS:
            raise RunError(
                f"Cannot read {path}: `values` must be of {', '.join(fields)}, and `looks` at most {RUNGS}, but those "
                f"of trial {line['number']} are others."
            )
    return lines


def read_core_seconds(folder: Path) -> float:
    """The processor time that a run has taken so far.

    Raises:
        RunError: missing or damaged.
    """
    return float(read_time(folder)["core_seconds"])


def read_time(folder: Path) -> dict[str, Any]:
    """What a run has taken so far, as a `Time`.

    Raises:
        RunError: missing or damaged.
    """
    time: dict[str, Any] = read_json(folder / TIME, Time, finite=True)
    return time
