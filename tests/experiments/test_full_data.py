"""How few real inputs a network needs: what is searched, on any engine, and that it goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from qdistill.cli import main
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.evaluate.baselines import FullScore, FullTraining
from qdistill.experiments import full_data
from qdistill.experiments.engines.engine import Source
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.full_run import run_full
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run
from qdistill.files import SCORES, write_json
from qdistill.models import LeNetArchitecture

ONE_EACH = {"batch": (10, 500), "step_size": (0.004,), "warm_up": (0.0,), "schedule": ("linear", "cosine")}
OF_DIGITS = Recipe("digits", model=LeNetArchitecture(width=20), n_validation=200)


def test_it_is_measured_until_it_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(full_data, "SUBSETS", {10: 60})
    monkeypatch.setattr(full_data, "FINEST", 1.5)
    told: list[str] = []
    measured = full_data.measure_full_training(
        OF_DIGITS, (0,), tmp_path, goals=(0.3, 0.5), fewest=50, varied=ONE_EACH, told=told.append
    )
    (subset,) = measured["subsets"]
    assert (subset["inputs"], subset["seen"]) == (10, 60)
    seen = [row["seen"] for row in measured["full"]]
    enough = [row["validation"][0] >= 0.5 for row in measured["full"]]
    assert enough[-1]
    assert not enough[0]
    first = enough.index(True)
    assert seen == sorted(seen)
    assert seen[first] <= 1.5 * seen[first - 1] + 10  # whole batches
    assert all(row["training"]["batch"] == 10 for row in measured["full"]), "no larger batch than inputs"
    assert len(told) == 1 + len(seen)


class MadeUp:
    """An engine that notes what it is given, and makes up accuracies."""

    def __init__(self, accuracy: Callable[[FullTraining, int], float]) -> None:
        self.accuracy, self.given = accuracy, list[Unit]()

    def run(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if unit.has_ended:
                continue
            assert unit.training is not None
            self.given.append(unit)
            unit.folder.mkdir(parents=True)
            score = FullScore(0.5, self.accuracy(unit.training, unit.recipe.seed), 1, 1, 1.0, None)
            write_json(unit.folder / SCORES, dataclasses.asdict(score) | {"n_test": 10, "seed": unit.recipe.seed})

    def follow(self, source: Source) -> None:
        raise AssertionError("a search of trainings knows its units")


def test_the_search_takes_the_best_by_validation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(full_data, "FINALISTS", 2)

    def accuracy(training: FullTraining, seed: int) -> float:
        good = {4: 0.6, 8: 0.8, 16: 0.81}.get(training.batch, 0.5) - 10 * training.step_size
        # From the first seed batches of 16 look best, from both those of 8.
        return good - (0.1 if training.batch == 16 and seed else 0) + training.warm_up

    engine = MadeUp(accuracy)
    trials = full_data.Trials(OF_DIGITS, tmp_path, engine)
    found = full_data.search(trials, 1097, 400, (0, 1))
    assert (found.training.batch, found.training.step_size, found.training.warm_up) == (8, 0.001, 0.1)
    assert found.training.steps(1097) * 8 == 400
    tried = {(unit.training, unit.recipe.seed) for unit in engine.given}
    assert len(tried) == len(engine.given) == 20 + 2 + 2 * 3, "each once: the pairs, both finalists again, the others"
    full_data.search(trials, 1097, 400, (0, 1))
    assert len(engine.given) == len(tried), "a search that was stopped goes on"


def test_what_does_not_stay_finite_is_not_chosen(tmp_path: Path) -> None:
    trials = full_data.Trials(OF_DIGITS, tmp_path, Here())
    good, bad = (FullTraining(epochs=2.0, batch=20, step_size=size, inputs=40) for size in (0.01, 1e38))
    ends, never = trials.of([good, bad], (0, 1))
    assert never.validation == (0.0, 0.0)
    assert never.test == (None, None)
    assert min(ends.validation) > 0
    assert None not in ends.test


def test_seeds_that_stay_finite_have_their_scores_beside_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = FullScore(0.5, 0.5, 1, 1, 1.0, None)
    monkeypatch.setattr(
        "qdistill.experiments.full_run.score_full_trainings", lambda *_, seeds: [score if s else None for s in seeds]
    )
    recipes = [dataclasses.replace(OF_DIGITS, seed=seed) for seed in (0, 1)]
    folders = [tmp_path / "0", tmp_path / "1"]
    with pytest.raises(
        DivergenceError, match=r"did not stay finite from the seeds 0\. Lower its `step_size`, which was 1"
    ):
        run_full(recipes, FullTraining(step_size=1.0), folders)
    assert not folders[0].exists()
    assert (folders[1] / SCORES).exists()


def test_a_part_of_the_inputs_is_drawn_evenly_from_the_classes() -> None:
    splits = OF_DIGITS.splits()
    part = FullTraining(inputs=25).part_of(splits).train
    assert len(part) == 25
    assert set(np.bincount(part.labels, minlength=10)) == {2, 3}
    assert (FullTraining(inputs=10).part_of(splits).train.inputs == part.inputs[:10]).all()
    assert FullTraining().part_of(splits) is splits
    with pytest.raises(ArgumentError, match=r"`inputs` must be at most the 1\d+ training inputs, but was 5000"):
        FullTraining(inputs=5000).part_of(splits)
    with pytest.raises(ArgumentError, match="`inputs` must be at least 1, but was 0"):
        FullTraining(inputs=0)


def test_the_command_line_writes_the_same_record_from_other_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(full_data, "SUBSETS", {})
    monkeypatch.setattr(full_data, "MOST", 60)
    one = {"batch": (10,), "step_size": (0.004,), "warm_up": (0.1,), "schedule": ("linear",)}
    monkeypatch.setattr(
        full_data, "measure_full_training", partial(full_data.measure_full_training, fewest=50, varied=one)
    )
    small = Recipe(
        "digits",
        model=LeNetArchitecture(width=12),
        compression=Compression(),
        inner=InnerLoop(steps=1),
        outer=OuterLoop(iterations=1, batch=16, validate_every=1),
        n_validation=200,
    )
    run(small, tmp_path / "run")
    records = []
    for on in ("here", "processes:1"):
        copy = tmp_path / on.partition(":")[0]
        shutil.copytree(tmp_path / "run", copy)
        assert main(["cost", str(copy), "--measure", "--on", on, "--json"]) == 0
        records.append(json.loads((copy / "full-bundle.json").read_text()))
        assert not (copy / "full-bundle").exists()
    assert records[0] == records[1]
    (row,) = records[0]["full"]
    assert (row["seen"], len(row["test"])) == (50, 3)


def test_places_are_for_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--on", "processes:1"], ["--each.cores", "2"], ["--cores", "1"]):
        assert main(["cost", "mnist-10-qlenet", *option]) == 2
        assert "`on` must be given with `measure` only" in " ".join(capsys.readouterr().err.split())
