"""Replays: whether they are of the bundle's own data, whether they meet its record, and what is not finite."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.cli import main
from qdistill.data import Digits, Images, Labelled
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record, Rerun, Rounding, RoundingCheck
from qdistill.errors import ArgumentError, BundleError, DivergenceError
from qdistill.evaluate.answers import fraction_right
from qdistill.evaluate.confusion import confusion
from qdistill.evaluate.protocol import Evaluations, measure, replay, replay_unknown, tolerance_of
from qdistill.evaluate.rounding import rounding
from qdistill.models import LeNetArchitecture, named_weights, predict

from ..distill.numpy_replay import Replay
from ..distill.samples import digits_bundle

ARCHITECTURE, INNER = LeNetArchitecture(width=12), InnerLoop(steps=4, step_sizes="shared")


@pytest.fixture(scope="module")
def bundle() -> DistilledDataset:
    """Of the digits, with a record that is right."""
    unmeasured = dataclasses.replace(digits_bundle(ARCHITECTURE, INNER), data_digest=Digits().load().digest)
    record = Record(replay(unmeasured).test_accuracy, 500, None, 200)
    return dataclasses.replace(unmeasured, record=record, rounding=None)


def digits(**changes: Any) -> Images:
    raw = Digits().load()
    parts = {"x": raw.train_inputs, "y": raw.train_labels, "x_test": raw.test_inputs, "y_test": raw.test_labels}
    fields = {"class_names": raw.class_names, "scale": raw.scale, "name": "own"}
    return Images(**(parts | fields | changes))


def test_a_replay_meets_its_record(bundle: DistilledDataset) -> None:
    result = replay(bundle)
    assert result.same_data is True
    assert result.reproduced is True
    assert replay(dataclasses.replace(bundle, data_digest=None)).same_data is None


@pytest.mark.parametrize("scale", [1.0, 16.0, 65535.0])
def test_the_same_images_on_another_scale_give_the_same(bundle: DistilledDataset, scale: float) -> None:
    raw = Digits().load().at_scale(scale)
    own = digits(x=raw.train_inputs, x_test=raw.test_inputs, scale=scale)
    result = replay(bundle, dataset=own)
    assert abs(result.test_accuracy - replay(bundle).test_accuracy) <= 1 / result.n_test
    # To their digest they are the same where they are whole steps of a byte.
    assert result.reproduced is True


def test_other_data_is_not_compared_with_the_record(bundle: DistilledDataset) -> None:
    raw = Digits().load()
    result = replay(bundle, dataset=digits(x_test=255 - raw.test_inputs))
    assert result.same_data is False
    assert abs(result.test_accuracy - result.recorded_test_accuracy) > result.tolerance  # type: ignore[operator]
    assert result.reproduced is None


def test_classes_in_another_order_are_refused_wherever_a_bundle_is_replayed(bundle: DistilledDataset) -> None:
    with pytest.raises(BundleError, match="in another order: 9, 8"):
        replay(bundle, dataset=digits(class_names=tuple("9876543210")))


def test_a_missed_record_is_told(bundle: DistilledDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = bundle.record.test_accuracy
    assert accuracy is not None
    wrong = dataclasses.replace(bundle, record=Record(accuracy - 0.05, 500))
    wrong.save(tmp_path / "wrong.safetensors")
    assert replay(wrong).reproduced is False
    assert main(["evaluate", str(tmp_path / "wrong.safetensors")]) == 3
    assert f"{accuracy:.2%} instead of {accuracy - 0.05:.2%}" in capsys.readouterr().err
    other = dataclasses.replace(wrong, data_digest="sha256:" + "0" * 64)
    other.save(tmp_path / "other.safetensors")
    assert main(["evaluate", str(tmp_path / "other.safetensors")]) == 0
    assert "not the data that the bundle was made from" in capsys.readouterr().err


@given(n=st.integers(1, 10_000), changed=st.integers(0, 10_000))
def test_the_tolerance_is_what_rounding_was_measured_to_change(n: int, changed: int) -> None:
    changed = min(changed, n)
    checked = RoundingCheck(test=Rounding(n, 0.5, Rerun(0.5, 0), (Rerun(0.5, changed), Rerun(0.5, 0))))
    tolerance = tolerance_of(dataclasses.replace(_SOME, rounding=checked))
    assert tolerance >= max(0.001, 1 / n, 2 * changed / n)
    assert tolerance_of(dataclasses.replace(_SOME, rounding=None)) == 0.005


_SOME = digits_bundle(ARCHITECTURE, INNER)


# What is not finite.


def with_step_size(bundle: DistilledDataset, step: int, size: float) -> DistilledDataset:
    return eqx.tree_at(lambda b: b.data.step_sizes, bundle, bundle.data.step_sizes.at[step - 1].set(size))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_training_that_is_not_finite_names_its_step(bundle: DistilledDataset, step: int) -> None:
    # The weights of a step of 1e30 are finite; the next gradient is not.
    diverging = with_step_size(bundle, step, 1e30)
    with pytest.raises(DivergenceError, match=rf"no longer finite after step {step + 1} of 4"):
        diverging.train()
    with pytest.raises(DivergenceError):
        replay(diverging)


def test_logits_that_are_not_finite_are_not_scored(bundle: DistilledDataset) -> None:
    raw = Digits().load()
    # After the last step nobody computes a gradient, so all weights are finite.
    trained = with_step_size(bundle, 4, 1e30).train()
    assert all(np.isfinite(weight).all() for weight in named_weights(trained).values())
    with pytest.raises(DivergenceError, match="logits that are not finite"):
        measure(trained, bundle, raw.test_inputs, raw.test_labels)
    with pytest.raises(DivergenceError, match="logits that are not finite"):
        confusion(trained, bundle, raw.test_inputs, raw.test_labels)


@pytest.mark.parametrize("shape", [(1,), (20, 1), (1, 20), ()])
def test_labels_are_one_for_each_input(bundle: DistilledDataset, shape: tuple[int, ...]) -> None:
    inputs, labels = Digits().load().test_inputs[:20], np.ones(shape, int)
    for ask in (measure, confusion):
        with pytest.raises(ArgumentError, match="`labels` must be one class number for each input"):
            ask(bundle.initial_model(), bundle, inputs, labels)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_scored_is_refused(bundle: DistilledDataset) -> None:
    inputs, labels, model = Digits().load().test_inputs[:20], np.zeros(20, int), bundle.initial_model()
    for ask in (measure, confusion):
        with pytest.raises(ArgumentError, match="`inputs` must be one input at least"):
            ask(model, bundle, inputs[:0], labels[:0])
        with pytest.raises(ArgumentError, match="class numbers from 0 to 9, but reached from -1 to -1"):
            ask(model, bundle, inputs, labels - 1)
    with pytest.raises(ArgumentError, match="`labels` must be one class number for each input"):
        fraction_right(labels, labels[:, None])


def test_the_command_line_says_so(bundle: DistilledDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_step_size(bundle, 1, 1e30).save(tmp_path / "bad.safetensors")
    for command in (["evaluate"], ["compress"]):
        more = [str(tmp_path / "small.safetensors")] if command == ["compress"] else []
        assert main([*command, str(tmp_path / "bad.safetensors"), *more]) == 1
        assert "finite" in capsys.readouterr().err
    assert not (tmp_path / "small.safetensors").exists()


def test_diverged_replays_are_counted_and_not_averaged(bundle: DistilledDataset) -> None:
    some = Evaluations.of([0.5, None, 0.7, None], 100)
    assert (some.test_accuracies, some.mean, some.diverged) == ((0.5, 0.7), pytest.approx(0.6), 2)
    none = replay_unknown(with_step_size(bundle, 1, 1e30), initialisations=2, key=jax.random.key(0))
    assert (none.test_accuracies, none.mean, none.interval, none.diverged) == ((), None, None, 2)


# Rounding.


def test_float64_is_that_of_numpy(bundle: DistilledDataset, tmp_path: Path) -> None:
    bundle.save(tmp_path / "bundle")
    raw = Digits().load()
    test = Labelled(raw.test_inputs, raw.test_labels)
    (found,) = rounding(bundle, test, draws=1)
    by_numpy = Replay(tmp_path / "bundle").train().logits(raw.test_inputs).argmax(axis=1)
    assert found.float64.accuracy == np.mean(by_numpy == raw.test_labels)
    inputs = bundle.transform(jnp.asarray(raw.test_inputs))
    own = np.asarray(predict(bundle.train(), inputs)).argmax(axis=1)
    assert found.float64.changed == np.sum(by_numpy != own)
    assert found.accuracy == bundle.record.test_accuracy
    assert len(found.perturbed) == 1


def at_kinks(bundle: DistilledDataset) -> DistilledDataset:
    """The bundle with every unit of F1 at ReLU's corner for one of its inputs, to within float32's resolution."""
    features = bundle.initial_model().features  # type: ignore[attr-defined]
    weights = dict(bundle.initial_weights)
    maps = [features.c2(features.c1(jnp.pad(x, ((2, 2), (2, 2), (0, 0))))) for x in bundle.data.inputs]
    before = np.stack([np.asarray(weights["features.f1.weight"], float) @ np.asarray(m, float).ravel() for m in maps])
    picked = before[np.arange(before.shape[1]) % len(before), np.arange(before.shape[1])]
    weights["features.f1.bias"] = jnp.asarray(-picked, jnp.float32)
    return dataclasses.replace(bundle, initial_weights=weights)


def test_inputs_at_a_kink_are_found(bundle: DistilledDataset) -> None:
    raw = Digits().load()
    test = Labelled(raw.test_inputs, raw.test_labels)
    (smooth,), (rough,) = rounding(bundle, test), rounding(at_kinks(bundle), test)
    assert smooth.most_changed <= 1
    assert rough.most_changed > 5
    assert rough.reruns[0] is rough.float64


def test_float64_on_the_command_line(
    bundle: DistilledDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = Digits().load()
    (found,) = rounding(bundle, Labelled(raw.test_inputs, raw.test_labels), draws=0)
    known = dataclasses.replace(bundle, rounding=RoundingCheck(test=found))
    known.save(tmp_path / "known.safetensors")
    assert main(["evaluate", str(tmp_path / "known.safetensors"), "--float64", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["float64"] == said["recorded_float64"] == dataclasses.asdict(found.float64)
    assert said["test_accuracy"] == bundle.record.test_accuracy
    assert main(["show", str(tmp_path / "known.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert f"in float64           {found.float64.accuracy:.2%} (n = 500)" in " ".join(shown.split(" "))
    assert main(["evaluate", str(tmp_path / "known.safetensors"), "--float64", "--shots", "3"]) == 2
