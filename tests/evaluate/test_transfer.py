"""Other networks on a bundle's examples: each training is the one that it says, and each cell its mean."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qdistill.cli import main
from qdistill.cli.transfer import networks_of
from qdistill.data import Splits, source, split
from qdistill.data.transforms import Standardise
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.initialisation import DrawnAnew
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.protocol import measure
from qdistill.evaluate.transfer import PlainTraining, transfer
from qdistill.models import (
    CircuitArchitecture,
    DataReuploading,
    KernelArchitecture,
    LeNetArchitecture,
    TreeTensor,
    named_weights,
    predict,
    with_weights,
)
from qdistill.quantum import Circuit, Operation, feature, weight
from qdistill.report.page import write_report

from .samples import bundle_of_moons

OWN = DataReuploading(n_qubits=2, n_layers=2, readout="expectation", class_weight=3.0)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(source("moons").load(), n_validation=100, transforms=(Standardise(),))


@pytest.fixture(scope="module")
def bundle() -> DistilledDataset:
    """Labels that are not one-hot, and step sizes of each tensor."""
    inner = InnerLoop(steps=3, optimiser="momentum", step_sizes="tensor")
    whole = bundle_of_moons(OWN, inner, (0.1, 0.3), per_class=3, n_validation=100)
    return dataclasses.replace(whole, data=eqx.tree_at(lambda d: d.labels, whole.data, whole.data.labels * 0.9 + 0.05))


def test_every_way_to_train_is_measured_for_every_network(bundle: DistilledDataset, splits: Splits) -> None:
    plain = PlainTraining(steps=4, batch=2, rates=(0.01, 0.1), choosing=2)
    networks = {"own": OWN, "deeper": dataclasses.replace(OWN, n_layers=3)}
    rows = list(transfer(bundle, networks, splits, draws=3, plain=plain))
    ways = [("bundle", "learned"), ("adam", "learned"), ("bundle", "hard"), ("adam", "hard")]
    assert [(row.network, row.training, row.labels) for row in rows] == [(n, *way) for n in networks for way in ways]
    for row in rows:
        assert len(row.evaluation.test_accuracies) == 3
        assert row.evaluation.n_test == len(splits.test)
        assert (row.learning_rate in plain.rates) == (row.training == "adam")
        assert row.steps == (4 if row.training == "adam" else 3)
    # Three steps of six examples, and four of two.
    assert rows[0].circuits * 8 == rows[1].circuits * 18

    # The first cell by hand.
    key = jax.random.split(jax.random.fold_in(jax.random.key(0), 2**32 - 2))[0]
    by_hand = []
    for own in jax.random.split(key, 3):
        model = OWN.build((2,), 2, key=jax.random.split(own)[0])
        by_hand.append(measure(bundle.train(model), bundle, splits.test.inputs, splits.test.labels))
    assert rows[0].evaluation.test_accuracies == pytest.approx(by_hand)


def test_the_own_network_keeps_the_weights_that_are_known(bundle: DistilledDataset, splits: Splits) -> None:
    held = {"output_scale": 7 * named_weights(OWN.build((2,), 2, key=jax.random.key(0)))["output_scale"]}
    partly = dataclasses.replace(bundle, initial_weights=held, drawn_anew=DrawnAnew(("layer.weights",)))
    plain = PlainTraining(steps=2, rates=(0.05,), choosing=1)
    rows = list(transfer(partly, {"own": OWN}, splits, draws=2, plain=plain))
    key = jax.random.split(jax.random.fold_in(jax.random.key(0), 2**32 - 2))[0]
    by_hand: dict[str, list[float]] = {"bundle": [], "adam": []}
    for key_model, key_order in (jax.random.split(own) for own in jax.random.split(key, 2)):
        drawn = OWN.build((2,), 2, key=key_model)
        model = with_weights(drawn, named_weights(drawn) | held)
        data = plain.data(bundle.data, 0.05, key=key_order)
        for way, trained in (("bundle", bundle.train(model)), ("adam", train(model, data, plain.inner(bundle.inner)))):
            by_hand[way].append(measure(trained, bundle, splits.test.inputs, splits.test.labels))
    for row in rows[:2]:
        assert row.evaluation.test_accuracies == pytest.approx(by_hand[row.training])


def test_the_training_with_adam_is_that_of_optax(bundle: DistilledDataset) -> None:
    plain = PlainTraining(steps=5, batch=4)
    data = plain.data(bundle.data, 0.05, key=jax.random.key(1))
    model = OWN.build((2,), 2, key=jax.random.key(2))
    ours = train(model, data, plain.inner(bundle.inner))
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    optimiser = optax.adam(0.05)
    state = optimiser.init(weights)

    @jax.jit
    def slope(weights: Any, inputs: Any, labels: Any) -> Any:
        def loss(weights: Any) -> Any:
            return optax.softmax_cross_entropy(predict(eqx.combine(weights, static), inputs), labels).mean()

        return jax.grad(loss)(weights)

    for picked in np.asarray(data.schedule):
        assert len(set(picked.tolist())) == 4
        updates, state = optimiser.update(slope(weights, data.inputs[picked], data.labels[picked]), state)
        weights = optax.apply_updates(weights, updates)
    # Not the weights: where one has no effect, its gradient is rounding, which Adam makes a whole step of.
    theirs = eqx.combine(weights, static)
    np.testing.assert_allclose(predict(ours, data.inputs), predict(theirs, data.inputs), atol=1e-3)
    assert not np.allclose(predict(ours, data.inputs), predict(model, data.inputs), atol=0.05)


def test_each_epoch_is_in_an_order_of_its_own_and_has_no_example_twice(bundle: DistilledDataset) -> None:
    schedule = np.asarray(PlainTraining(steps=6, batch=2).data(bundle.data, 0.1, key=jax.random.key(0)).schedule)
    for epoch in (schedule[:3], schedule[3:]):
        assert sorted(epoch.ravel()) == list(range(6))
    assert not np.array_equal(schedule[:3], schedule[3:])


def test_networks_are_named_with_the_fields_that_differ() -> None:
    found = networks_of(["own", "own:n_layers=5,readout=fidelity", "tree-tensor", "data-reuploading:n-layers=1"], OWN)
    assert found["own"] == OWN
    assert found["own:n_layers=5,readout=fidelity"] == dataclasses.replace(OWN, n_layers=5, readout="fidelity")
    assert found["tree-tensor"] == TreeTensor()
    assert found["data-reuploading:n-layers=1"] == dataclasses.replace(OWN, n_layers=1)


def test_a_value_of_several_is_a_list() -> None:
    circuit = Circuit(2, (Operation("RX", (0,), (feature(0),)), Operation("RY", (1,), (weight(0),))))
    own = CircuitArchitecture(circuit, observables=("Z0", "Z1"))
    (found,) = networks_of(['own:observables=["X0","Z1 Z0"],spread=0.5'], own).values()
    assert found == dataclasses.replace(own, observables=("X0", "Z1 Z0"), spread=0.5)
    with pytest.raises(ArgumentError, match=r"`on\.observables` must be a list, but was 'X0,Z1'"):
        networks_of(["own:observables=X0,Z1"], own)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["owl"], "Argument `on` must be a known"),
        (["own", "own"], "`on` must be different networks, but 'own' is there twice"),
        (["own", "own:n_layers=2"], "`on` must be different networks, but 'own:n_layers=2' is the same as 'own'"),
        (["own:n_layers"], "`on` must be NAME or NAME:FIELD=VALUE,FIELD=VALUE, but was 'own:n_layers'"),
        (["own:"], "`on` must be NAME or NAME:FIELD=VALUE,FIELD=VALUE, but was 'own:'"),
        (["own:n_layers=3,"], "n_layers"),
        (["own:n_layers=3,n-layers=4"], "`on` must give each field once, but .* gives `n_layers` twice"),
        (["own:depth=2"], "depth"),
        (["own:n_layers=two"], "n_layers"),
    ],
)
def test_what_names_no_network(words: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        networks_of(words, OWN)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (LeNetArchitecture(), "`on` must be networks for inputs of shape"),
        (DataReuploading(n_qubits=1), "other"),
        (KernelArchitecture(), "solved at once"),
    ],
)
def test_a_network_that_cannot_read_the_examples_is_refused_before_any_training(
    bundle: DistilledDataset, splits: Splits, architecture: Any, message: str
) -> None:
    if message == "other":
        # A readout for two classes at most, and a bundle of three.
        bundle = dataclasses.replace(
            bundle,
            data=TrainingSet(
                bundle.data.inputs, jnp.ones((6, 3)), bundle.data.step_sizes, np.asarray(bundle.data.schedule)
            ),
            class_names=("a", "b", "c"),
        )
        architecture, message = dataclasses.replace(OWN, n_qubits=2), "in 3 classes, but it is none"
    with pytest.raises(ArgumentError, match=message):
        transfer(bundle, {"it": architecture}, splits)


def test_more_examples_a_step_than_there_are_are_refused(bundle: DistilledDataset, splits: Splits) -> None:
    with pytest.raises(ArgumentError, match="`batch` must be at most the 6 examples, but was 7"):
        transfer(bundle, {"own": OWN}, splits, plain=PlainTraining(batch=7))


@pytest.mark.parametrize("fields", [{"steps": 0}, {"batch": 0}, {"choosing": 0}, {"rates": ()}, {"rates": (0.1, -1.0)}])
def test_trainings_that_there_cannot_be(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(ArgumentError, match=f"`{name}` must be"):
        PlainTraining(**fields)


def test_support_points_are_no_examples(bundle: DistilledDataset, splits: Splits) -> None:
    kernel = dataclasses.replace(
        bundle,
        drawn_anew=None,
        weight_names=(),
        inner=InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square"),
    )
    with pytest.raises(BundleError, match="support points, which no other network trains on"):
        transfer(kernel, {"own": OWN}, splits)


def test_labels_that_are_one_hot_already_are_called_so(bundle: DistilledDataset, splits: Splits) -> None:
    hard = np.eye(2, dtype=np.float32)[np.asarray(bundle.data.labels).argmax(axis=1)]
    one_hot = eqx.tree_at(lambda b: b.data.labels, bundle, hard)
    plain = PlainTraining(steps=4, batch=2, rates=(0.01, 0.1), choosing=2)
    assert [row.labels for row in transfer(one_hot, {"own": OWN}, splits, draws=1, plain=plain)] == ["hard", "hard"]


def test_the_command_keeps_the_rows_for_the_report(
    bundle: DistilledDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.save(tmp_path / "bundle.safetensors")
    command = ["evaluate", str(tmp_path), "--on", "own:n_layers=1", "--steps", "2", "--draws", "2"]
    assert main(command) == 0
    assert "own:n_layers=1" in capsys.readouterr().out
    kept = json.loads((tmp_path / "transfer.json").read_text())
    assert [row["training"] for row in kept["rows"]] == ["bundle", "adam", "bundle", "adam"]
    page = write_report(tmp_path, tmp_path / "page.html", command_of=lambda *_: "").read_text()
    assert "Other networks" in page
    assert "own:n_layers=1" in page
    assert main(["evaluate", str(tmp_path), "--steps", "2"]) != 0
    assert "`steps` must be given together with `on` only" in capsys.readouterr().err
    assert main([*command, "--float64"]) != 0
    assert "`float64` must be left out with `on`" in capsys.readouterr().err
    monkeypatch.setattr(DistilledDataset, "made_from", lambda *_: False)
    assert main(command) != 0
    assert "made from other data than moons now is" in " ".join(capsys.readouterr().err.split())
