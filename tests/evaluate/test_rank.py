"""Circuits ranked by what they learn from a bundle: each training by hand, the command, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.cli import main
from qdistill.cli.candidates import candidates_of
from qdistill.data import Splits, source, split
from qdistill.data.transforms import Standardise
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop, compiled_train
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate import rank as ranking
from qdistill.evaluate.cost import training_circuits
from qdistill.evaluate.protocol import measure
from qdistill.evaluate.rank import RATES, RealTraining, best_rates, rank, train_fully
from qdistill.evaluate.side_by_side import accuracies, draw_networks
from qdistill.evaluate.untrained import measure_proxies
from qdistill.models import CircuitArchitecture, CircuitClassifier, DataReuploading, structure
from qdistill.quantum import SimCircuit

from .samples import bundle_of_moons

OWN = CircuitArchitecture(SimCircuit(2, 2, 1).circuit(), "angle", output_scale=2.0)
WORDS = ["sim-14:n_layers=1", "sim-2:n_layers=2", "data-reuploading:n_layers=1"]
N_VALIDATION = 60


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(source("moons").load(), n_validation=N_VALIDATION, transforms=(Standardise(),))


@pytest.fixture(scope="module")
def bundle(splits: Splits) -> DistilledDataset:
    """Step sizes of each tensor."""
    inner = InnerLoop(steps=3, optimiser="momentum", step_sizes="tensor")
    fitted_on = splits.train.inputs
    whole = bundle_of_moons(OWN, inner, (0.1, 0.3), per_class=3, n_validation=N_VALIDATION, fitted_on=fitted_on)
    return dataclasses.replace(whole, recipe={"transforms": ["standardise"]})


def test_candidates_are_trained_as_by_hand(bundle: DistilledDataset, splits: Splits) -> None:
    candidates = candidates_of(WORDS, OWN, (2,))
    scores = list(rank(bundle, candidates, splits, draws=2, seed=3))
    assert [score.network for score in scores] == WORDS
    key = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(3), 2**32 - 3), 0))[0]
    # The mean of the step sizes over the tensors.
    data = eqx.tree_at(lambda d: d.step_sizes, bundle.data, jnp.full((3, 1), 0.2))
    inner = dataclasses.replace(bundle.inner, step_sizes="shared")
    for name in (WORDS[0], WORDS[2]):
        score = next(score for score in scores if score.network == name)
        by_hand = []
        for own in jax.random.split(key, 2):
            model = compiled_train(candidates[name].build((2,), 2, key=own), data, inner)
            by_hand.append(measure(model, bundle, splits.validation.inputs, splits.validation.labels))
        assert score.validation == pytest.approx(by_hand, abs=1.01 / N_VALIDATION)
    network = structure(candidates[WORDS[0]], (2,), 2)
    # Two draws, each of which is scored by one circuit an input.
    assert scores[0].circuits == 2 * (training_circuits(network, (2,), 18) + N_VALIDATION)
    assert scores[0].n_weights == 8 + 1


def test_trainings_on_real_inputs_take_as_many_circuits(bundle: DistilledDataset, splits: Splits) -> None:
    candidates = candidates_of(WORDS[:2], OWN, (2,))
    scores = list(rank(bundle, candidates, splits, draws=2, with_real=True))
    assert len(scores) == 2 * (1 + 3 * len(RATES))
    for name in WORDS[:2]:
        assert len({score.circuits for score in scores if score.network == name}) == 1
    best = best_rates(scores)
    assert [score.way for score in best] == [
        w for w in ("distilled", "distilled_adam", "subset", "short") for _ in "ab"
    ]
    own = [score for score in scores if score.way == "short"]
    means = {rate: np.mean([score.validation for score in own if score.rate == rate]) for rate in RATES}
    assert max(means.values()) == means[best[-1].rate or 0]


def test_what_each_step_sees() -> None:
    generator = np.random.default_rng(0)
    seen = ranking._passes(10, 5, 4, generator)
    assert seen.shape == (5, 4)
    assert len(set(seen[:2].ravel())) == len(set(seen[2:4].ravel())) == 8
    classes = np.array([0] * 20 + [1] * 5 + [2] * 5)
    assert np.bincount(classes[ranking._of_each_class(classes, 6, generator)]).tolist() == [2, 2, 2]
    assert len(ranking._of_each_class(classes[:3], 6, generator)) == 6


def test_full_training_learns_and_draws_other_networks(bundle: DistilledDataset, splits: Splits) -> None:
    candidates = candidates_of(["data-reuploading:n_layers=2,n_qubits=2"], None, (2,))
    (score,) = train_fully(candidates, splits, RealTraining(steps=120, rate=0.05), draws=2)
    assert np.mean(score.test) > 0.8
    (short,) = train_fully(candidates, splits, RealTraining(steps=1), draws=2)
    assert score.circuits > short.circuits


def test_proxies_of_known_circuits(splits: Splits) -> None:
    found = measure_proxies(candidates_of(["sim-1:n_layers=1", "sim-15:n_layers=1", WORDS[2]], OWN, (2,)), splits)
    product, entangled, other = found.values()
    assert other is None
    assert product is not None
    assert entangled is not None
    assert product["entangling"] == pytest.approx(0, abs=1e-5)
    assert entangled["entangling"] > 0.2
    assert (product["weights"], product["paths"]) == (5, pytest.approx(np.log(2)))
    assert product["expressibility"] < 0


def test_a_network_that_diverges_is_never_right() -> None:
    networks = draw_networks("own", OWN, (2,), 2, jax.random.split(jax.random.key(0), 2))
    broken = dataclasses.replace(networks, weights=jax.tree.map(lambda a: a.at[0].set(jnp.nan), networks.weights))
    found = accuracies(broken, np.zeros((3, 2), np.float32), np.zeros(3, int))
    assert found[0] == 0
    assert found[1] in (0, 1)


@pytest.fixture(scope="module")
def file(bundle: DistilledDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rank") / "bundle.safetensors"
    bundle.save(path)
    return path


def test_the_command_ranks_and_goes_on_where_it_was(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, out = tmp_path / "full.json", tmp_path / "out"
    command = ["rank", str(file), *WORDS[:2], "--draws=2", "--no-compilation-cache", f"--out={out}"]
    with_full = [*command, f"--against={record}", "--full-draws=2", "--full-steps=4"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "Kendall" not in printed
    assert all(len(line) <= 80 for line in printed.splitlines()[1:])
    assert not (out / "ranking.png").exists()

    assert main(with_full) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines()[1:])
    assert "distilled examples, their steps" in printed
    assert "expressibility (untrained)" in printed
    first = json.loads((out / "ranking.json").read_text())
    assert {row["way"] for row in first["agreement"]} > {"distilled", "subset", "short", "capacity"}
    assert (out / "ranking.png").read_bytes().startswith(b"\x89PNG")
    lines = list(csv.DictReader((out / "ranking.csv").read_text().splitlines()))
    assert [line["network"] for line in lines if line["way"] == "full"] == WORDS[:2]

    # One of the full trainings is lost: it is made again, and the other is not.
    kept = json.loads(record.read_text())
    lost = kept["scores"].pop()
    kept["scores"][0]["test"] = [0.25, 0.25]
    record.write_text(json.dumps(kept))
    assert main(with_full) == 0
    again = json.loads(record.read_text())["scores"]
    assert again == [kept["scores"][0], lost]
    capsys.readouterr()
    assert main([*with_full[:-1], "--full-steps=5"]) == 1
    assert "have the training" in capsys.readouterr().err


class Unbounded(DataReuploading):
    """Draws weights that are not finite."""

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        model = super().build(input_shape, n_classes, key=key)
        return eqx.tree_at(lambda m: m.layer.weights, model, replace_fn=lambda w: w / 0.0)


def test_what_is_refused(
    bundle: DistilledDataset, splits: Splits, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentError, match="`circuits` must be two at least to be ranked, but was 1"):
        rank(bundle, {"own": OWN}, splits)
    three = dataclasses.replace(OWN, observables=("Z0", "Z1", "Z0 Z1"))
    with pytest.raises(ArgumentError, match="in 2 classes, but three is none"):
        rank(bundle, {"own": OWN, "three": three}, splits)
    with pytest.raises(ArgumentError, match="`circuits` must draw finite initial weights, but unbounded draws others"):
        list(rank(bundle, {"unbounded": Unbounded(), "own": OWN}, splits, draws=2))
    known = eqx.tree_at(lambda b: b.initial_weights, bundle.drawn(key=jax.random.key(0)), replace_fn=lambda w: w)
    with pytest.raises(BundleError, match="for known initial weights, from which no other circuit starts"):
        rank(known, {"own": OWN, "two": OWN}, splits)
    for words, message in (
        (["own", "--full-draws=3"], "`full_draws` must be given together with `against` only"),
        (["own", "--full-steps=3"], "`full_steps` must be given together with `against` only"),
        (["sim-20", "own"], "`number` must be from 1 to 19"),
        (["sim-2:n_layers=x", "own"], "`n_layers` must be an integer"),
        (["sim-2:n_layers", "own"], "must be NAME or NAME:FIELD=VALUE"),
        (["sim-2:n_layers=1", "own"], "'own' is the same as 'sim-2:n_layers=1'"),
        (["sim-2", "sim-2:n_layers=1"], "must be different circuits, but 'sim-2:n_layers=1' is there twice"),
        (["owl", "own"], "Argument `circuits` must be a known"),
        (["own"], "must be two at least"),
    ):
        assert main(["rank", str(file), *words]) == 2
        assert message in capsys.readouterr().err


def test_a_family_by_one_word() -> None:
    found = candidates_of(["sim"], None, (4,))
    assert len(found) == 57
    assert found["sim-7:n_layers=3"] == CircuitArchitecture(SimCircuit(7, 4, 3).circuit(), "angle")
    assert len(candidates_of(["sim:n_layers=2"], OWN, (4,))) == 19  # on two wires, where some are the same
    (own,) = candidates_of(["sim-7:n_layers=1,spread=0.5"], OWN, (4,)).values()
    assert own == dataclasses.replace(OWN, circuit=SimCircuit(7, 2, 1).circuit(), spread=0.5)
