"""A run for unknown initial weights from end to end: its folder, its bundle, and every command on it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import qdistill
from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.report import command_of
from qdistill.data import source
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.compression import Compression
from qdistill.distill.initialisation import DrawnAnew, Initialisation
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.distill.record import Record
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.protocol import accuracies_of_draws, measure, replay, replay_unknown
from qdistill.evaluate.savings import distillation_circuits
from qdistill.experiments.distillers import make_distiller
from qdistill.experiments.metrics import read_metrics
from qdistill.experiments.recipe import Device, Recipe
from qdistill.experiments.recipe_file import read_recipe
from qdistill.files import BUNDLE, CHECKPOINT
from qdistill.models import DataReuploading, KernelArchitecture, LeNetArchitecture, named_weights
from qdistill.report.page import write_report

pytestmark = pytest.mark.usefixtures("shared_programs")

RECIPE = Recipe(
    "moons",
    model=DataReuploading(n_qubits=2, n_layers=2, readout="expectation", class_weight=3.0),
    compression=Compression(per_class=2, start="real", step_size=0.1),
    inner=InnerLoop(steps=4, optimiser="momentum", step_sizes="shared"),
    outer=OuterLoop(iterations=8, batch=16, validate_every=4, learning_rate=0.05),
    initialisation=Initialisation("unknown", networks=2, window=2, pool=3, validation_draws=3, test_draws=4),
    n_validation=100,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped half way and went on."""
    path = tmp_path_factory.mktemp("unknown") / "run"
    with pytest.raises(KeyboardInterrupt):
        qdistill.run(RECIPE, path, observer=StopAt(4))
    qdistill.run(RECIPE, path, resume=True)
    return path


@pytest.fixture(scope="module")
def bundle(folder: Path) -> DistilledDataset:
    return DistilledDataset.load(folder / BUNDLE)


class StopAt:
    """An observer that ends a run as Ctrl-C does."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def begin(self, *_: Any) -> None:
        pass

    def iterated(self, iteration: int, loss: float) -> None:
        pass

    def reported(self, reports: Any) -> None:
        if reports[0].iteration == self.iteration:
            raise KeyboardInterrupt

    def end(self, message: str) -> None:
        pass


def test_a_run_that_was_resumed_is_one_that_was_never_stopped(folder: Path, tmp_path: Path) -> None:
    qdistill.run(RECIPE, tmp_path / "whole")
    states = [load_file(run / CHECKPOINT) for run in (folder, tmp_path / "whole")]
    assert set(states[0]) == set(states[1])
    assert any(name.startswith("pool.") for name in states[0])
    for name, array in states[0].items():
        assert np.array_equal(array, states[1][name]), name
    metrics = [read_metrics(run) for run in (folder, tmp_path / "whole")]
    assert metrics[0] == metrics[1]
    records = [DistilledDataset.load(run / BUNDLE).record for run in (folder, tmp_path / "whole")]
    assert records[0] == records[1]


def test_metrics_and_scores_have_mean_spread_and_worst(folder: Path, bundle: DistilledDataset) -> None:
    record = bundle.record
    assert (len(record.test_draws), len(record.validation_draws)) == (4, 3)
    assert record.test_accuracy == pytest.approx(np.mean(record.test_draws))
    best = max(read_metrics(folder), key=lambda line: line["validation_accuracy"])
    assert best["validation_accuracy"] == pytest.approx(np.mean(record.validation_draws)) == record.validation_accuracy
    assert best["validation_worst"] == min(record.validation_draws)
    assert best["validation_spread"] == pytest.approx(np.std(record.validation_draws, ddof=1))
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["test_draws"] == list(record.test_draws)


def test_the_bundle_holds_no_weights_but_what_they_are_drawn_from(folder: Path, bundle: DistilledDataset) -> None:
    assert bundle.drawn_anew == DrawnAnew(("layer.weights", "output_scale"))
    assert not bundle.initial_weights
    assert not bundle.is_for_known_weights
    assert not any(name.startswith("weights/") for name in load_file(folder / BUNDLE))
    assert bundle.data.step_sizes.shape == (4, 1)
    assert Recipe.from_json(bundle.recipe) == RECIPE


def test_a_replay_is_the_mean_over_networks_of_the_architecture(bundle: DistilledDataset) -> None:
    result = replay(bundle)
    assert result.reproduced
    assert result.draws == bundle.record.test_draws
    assert result.worst == min(result.draws)
    raw = bundle.fitted(source("moons").load())
    by_hand = []
    for key in jax.random.split(jax.random.fold_in(jax.random.key(0), 2**32 - 1), 4):
        model = RECIPE.model.build((2,), 2, key=jax.random.split(key)[0])
        by_hand.append(measure(bundle.train(model), bundle, raw.test_inputs, raw.test_labels))
    assert result.draws == pytest.approx(by_hand)
    # The record is of these draws, as the bundle says.
    assert bundle.provenance["test_draws_seed"] == 0
    others = replay(bundle, draws=3, seed=1)
    assert (len(others.draws), others.reproduced) == (3, None)


def test_no_network_of_a_replay_is_that_of_a_run(bundle: DistilledDataset) -> None:
    distiller = make_distiller(dataclasses.replace(RECIPE, seed=0), RECIPE.splits())
    own = named_weights(distiller.model)["layer.weights"]
    for key in jax.random.split(jax.random.fold_in(jax.random.key(0), 2**32 - 1), 4):
        drawn = bundle.drawn(key=key).initial_weights["layer.weights"]
        assert not np.array_equal(own, drawn)


def test_no_draw_beside_known_weights_is_the_own_network(bundle: DistilledDataset) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    networks = [RECIPE.model.build((2,), 2, key=key) for key in keys]
    known = dataclasses.replace(bundle.drawn(key=keys[0]), initial_weights=named_weights(networks[0]))
    raw = known.fitted(source("moons").load())
    for one in (known, known.in_eight_bits()):
        by_hand = [measure(one.train(model), one, raw.test_inputs, raw.test_labels) for model in networks[1:]]
        assert replay_unknown(one, initialisations=2, key=jax.random.key(0)).test_accuracies == pytest.approx(by_hand)


def test_one_draw_is_a_bundle_for_known_weights(bundle: DistilledDataset, tmp_path: Path) -> None:
    one = bundle.drawn(key=jax.random.key(2))
    one.save(tmp_path / "one.safetensors")
    again = DistilledDataset.load(tmp_path / "one.safetensors")
    assert again.is_for_known_weights
    assert again.record == Record(n_validation=bundle.record.n_validation)
    assert again.provenance == bundle.provenance | {"drawn_by_key": [0, 2]}
    same = bundle.drawn(key=jax.random.wrap_key_data(np.array(again.provenance["drawn_by_key"], np.uint32)))
    assert np.array_equal(same.initial_weights["layer.weights"], again.initial_weights["layer.weights"])
    for name, weight in named_weights(again.initial_model()).items():
        assert np.array_equal(weight, one.initial_weights[name])
    with pytest.raises(BundleError, match="for known initial weights, which it holds"):
        one.drawn(key=jax.random.key(0))


def test_a_bundle_for_unknown_weights_is_not_used_as_one_for_known_ones(bundle: DistilledDataset) -> None:
    for wrong in (bundle.initial_model, bundle.train):
        with pytest.raises(BundleError, match=r"for unknown initial weights and holds none to start from\. Draw some"):
            wrong()
    with pytest.raises(BundleError, match="for unknown initial weights: `replay` draws them"):
        replay_unknown(bundle, initialisations=2, key=jax.random.key(0))


def test_a_bundle_for_known_weights_is_not_used_as_one_for_unknown_ones(bundle: DistilledDataset) -> None:
    known = bundle.drawn(key=jax.random.key(0))
    with pytest.raises(ArgumentError, match="Argument `draws` must be left out for a bundle of known initial weights"):
        replay(known, draws=3)
    with pytest.raises(ArgumentError, match="`structure` must be left out for a bundle of unknown initial weights"):
        replay(bundle, structure=known.initial_model())
    raw = source("moons").load()
    with pytest.raises(BundleError, match="for known initial weights, which it holds"):
        accuracies_of_draws(known, raw.test_inputs, raw.test_labels, draws=2)


def test_weights_that_are_drawn_as_no_numbers_are_named(bundle: DistilledDataset) -> None:
    wild = dataclasses.replace(RECIPE.model, spread=3e38, distribution="normal")
    with pytest.raises(BundleError, match=r"architecture draws are not finite: layer\.weights"):
        dataclasses.replace(bundle, architecture=wild).drawn(key=jax.random.key(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": Record(0.5, 10)}, "must have `test_draws` beside `test_accuracy`"),
        (
            {"inner": InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square")},
            "`drawn_anew` must be None for a network with a closed form",
        ),
        ({"architecture": None}, "`architecture` must be given where weights are drawn anew"),
        ({"drawn_anew": DrawnAnew(("layer.weights", "output_scale"), "random")}, "must have the order 'fixed'"),
        ({"drawn_anew": None, "weight_names": ()}, "must have no draws where the initial weights are known"),
    ],
)
def test_what_no_bundle_for_unknown_weights_can_be(bundle: DistilledDataset, changes: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        dataclasses.replace(bundle, **changes)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "wrong",
    [{"draws": 0}, {"draws": True}, {"draws": 2.5}, {"draws": "3"}, {"seed": True}, {"seed": -1}, {"seed": 0.5}],
)
def test_draws_and_their_seed_are_whole_numbers(bundle: DistilledDataset, wrong: dict[str, Any]) -> None:
    raw = source("moons").load()
    with pytest.raises(ArgumentError, match=f"`{next(iter(wrong))}`"):
        accuracies_of_draws(bundle, raw.test_inputs, raw.test_labels, **{"draws": 2, **wrong})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"test_accuracy": True}, {"test_draws": ("a",)}])
def test_a_record_has_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"`{next(iter(wrong))}"):
        Record(**{"test_accuracy": 0.5, "n_test": 6, **wrong})


def test_the_mean_of_a_record_is_that_of_its_draws() -> None:
    assert Record(0.5, 10, test_draws=(0.4, 0.6)).to_json()["test_draws"] == (0.4, 0.6)
    assert "test_draws" not in Record(0.5, 10).to_json()
    with pytest.raises(
        ArgumentError, match=r"`test_accuracy` must be the mean of `test_draws`, 0\.500000, but was 0\.6"
    ):
        Record(0.6, 10, test_draws=(0.4, 0.6))


def test_the_commands_on_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    assert main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reproduced"]
    assert {"draws", "spread", "worst", "interval"} < set(found)
    assert main(["evaluate", str(run), "--initialisations", "2", "--seed", "5"]) == 0
    assert "over 2 draws of the initial weights, worst" in capsys.readouterr().out
    assert main(["show", str(run)]) == 0
    assert "unknown: drawn anew for each network (layer.weights, output_scale)" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["cost", str(run)]) == 0
    assert "one training" in capsys.readouterr().out
    for command in (
        ["evaluate", str(run), "--shots", "10"],
        ["evaluate", str(run), "--float64"],
        ["execute", str(run), "--backend", "simulator"],
        ["compress", str(run), str(tmp_path / "small.safetensors")],
        ["export", str(run), "--to", "pennylane"],
        ["export", str(run), "--to", "numpy"],
    ):
        assert main(command) != 0
        error = " ".join(capsys.readouterr().err.split())
        assert "unknown initial weights" in error
        assert "qdistill export BUNDLE --to bundle --seed N" in error
    assert main(["export", str(run), "--to", "csv"]) == 0
    assert main(["export", str(run), "--to", "bundle", "--seed", "3", "--out", str(tmp_path / "one")]) == 0
    one = DistilledDataset.load(tmp_path / "one" / BUNDLE)
    expected = DistilledDataset.load(run / BUNDLE).drawn(key=jax.random.key(3))
    assert np.array_equal(one.initial_weights["layer.weights"], expected.initial_weights["layer.weights"])
    assert one.provenance["drawn_by_key"] == [0, 3]
    assert main(["compress", str(tmp_path / "one" / BUNDLE), str(tmp_path / "small.safetensors")]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--to", "csv", "--seed", "3"]) != 0
    assert "`seed` must be left out but for a bundle" in capsys.readouterr().err


def test_its_report_says_for_whom_it_is(folder: Path, tmp_path: Path) -> None:
    page = " ".join(write_report(folder, tmp_path / "page.html", command_of=command_of).read_text().split())
    assert "with unknown initial weights trains" in page
    assert "They are for any draw of the initial weights from the architecture" in page
    assert "mean of 4 draws of the initial weights" in page
    assert "no other: from other weights expect chance" not in page


def test_the_classical_weights_may_be_known(tmp_path: Path) -> None:
    initialisation = Initialisation("unknown", drawn="quantum", networks=2, validation_draws=2, test_draws=2)
    recipe = dataclasses.replace(
        RECIPE, initialisation=initialisation, outer=dataclasses.replace(RECIPE.outer, iterations=2, validate_every=2)
    )
    bundle = qdistill.run(recipe, tmp_path / "run")
    assert set(bundle.initial_weights) == {"output_scale"}
    loaded = DistilledDataset.load(tmp_path / "run" / BUNDLE)
    assert loaded.weight_names == ("layer.weights", "output_scale")
    one = loaded.drawn(key=jax.random.key(0))
    assert np.array_equal(one.initial_weights["output_scale"], bundle.initial_weights["output_scale"])


def test_the_circuits_of_a_distillation_are_those_of_all_its_networks(bundle: DistilledDataset) -> None:
    # Eight iterations of two networks: three gradients for each of a window's two steps of four examples, one step more
    # for the pool, and sixteen real inputs.
    assert distillation_circuits(bundle, 10) == 8 * 2 * (3 * 2 * 4 + 4 + 16) * 10


def test_a_recipe_says_unknown_in_a_file_and_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('dataset = "moons"\n[initialisation]\nweights = "unknown"\nnetworks = 5\n')
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert recipe.initialisation == Initialisation("unknown", networks=5)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "initialisation" not in Recipe("moons", n_validation=100).to_json()


def test_the_options_of_a_run_say_unknown(tmp_path: Path) -> None:
    asked = parse_new(["moons", "--initialisation", "unknown", "--initialisation.networks", "3"])
    assert asked.recipe.initialisation == Initialisation("unknown", networks=3)
    assert type(asked.recipe.initialisation) is Initialisation
    (tmp_path / "recipe.toml").write_text('dataset = "moons"\n[initialisation]\nweights = "unknown"\n')
    file = str(tmp_path / "recipe.toml")
    assert not parse_new([file]).recipe.initialisation.is_known
    assert parse_new([file, "--initialisation", "known"]).recipe.initialisation.is_known
    assert "--initialisation.networks 3" in command_of(asked.recipe.to_json())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": InnerLoop(steps=1)}, "`initialisation.window` must be at most the 1 steps"),
        (
            {"device": Device(shots=10)},
            "`initialisation.weights` must be 'known' where the training runs on a `device`",
        ),
        (
            {
                "model": KernelArchitecture(),
                "inner": InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square"),
            },
            "`initialisation.weights` must be 'known' for a network with a closed form",
        ),
    ],
)
def test_recipes_that_there_cannot_be(changes: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        dataclasses.replace(RECIPE, **changes)


def test_a_network_without_circuits_has_no_quantum_weights_to_draw() -> None:
    with pytest.raises(
        ArgumentError, match=r"`initialisation\.drawn` must be 'all' for a network without a quantum layer"
    ):
        Recipe("digits", model=LeNetArchitecture(), initialisation=Initialisation("unknown", drawn="quantum"))
