"""The loss between trainings: of a line whose loss is known, and of networks against a plain loop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.cli import main
from qdistill.data import Splits, source, split
from qdistill.data.transforms import Standardise
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.losses import LOSSES
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.evaluate.landscape import Barrier, Sampling, landscapes, losses_between
from qdistill.evaluate.transfer import PlainTraining
from qdistill.models import DataReuploading, LeNetArchitecture, named_weights, predict, with_weights

from .samples import bundle_of_moons

OWN = DataReuploading(n_qubits=2, n_layers=1, readout="expectation", class_weight=3.0)
PLAIN = PlainTraining(steps=2, rates=(0.1,), choosing=1)
FEW = Sampling(pairs=2, points=3, inputs=20, batch=5)


class Linear(eqx.Module):
    """One logit of a single input, which a square loss makes a parabola of."""

    weight: jax.Array

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.weight * inputs


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(source("moons").load(), n_validation=50, transforms=(Standardise(),))


@pytest.fixture(scope="module")
def bundle() -> DistilledDataset:
    whole = bundle_of_moons(OWN, InnerLoop(steps=1), (1.0, 1.0), per_class=1, n_validation=50)
    own = named_weights(OWN.build((2,), 2, key=jax.random.key(0)))
    return dataclasses.replace(whole, initial_weights=own, drawn_anew=None)


def test_the_barrier_is_the_height_above_the_chord():
    """Of x^2 on [-1, 1] there is none, of -x^2 one of 1, and a slope is no barrier."""
    along = np.linspace(-1, 1, 5)
    barrier = Barrier.of(np.stack([along**2, -(along**2), 3 * along, along**2 - 2 * along]))
    assert barrier.each == (0.0, 1.0, 0.0, 0.0)
    assert barrier.mean == 0.25
    assert barrier.interval is not None
    assert barrier.interval[0] < 0.25 < barrier.interval[1]


def test_the_loss_between_two_ends_is_a_parabola():
    data = TrainingSet(jnp.ones((1, 1)), jnp.full((1, 1), 2.0), jnp.ones((1, 1)), np.zeros((1, 1), np.int32))
    ends = [Linear(jnp.array(w)) for w in (0.0, 4.0, 10.0)]
    shares = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [1, -1, 1]])
    assert losses_between(ends, shares, data, "square").tolist() == [4.0, 0.0, 4.0, 16.0]
    with pytest.raises(DivergenceError, match="not finite"):
        losses_between([Linear(jnp.array(np.inf)), ends[0]], shares[:, :2], data, "square")


def test_lines_and_plane_hold_the_losses_at_the_ends(bundle: DistilledDataset, splits: Splits):
    """The plane's grid has a point on every end: with three points, and a third end right above the middle."""
    on_distilled, on_real = landscapes(bundle, {"own": OWN}, splits, sampling=FEW, plain=PLAIN)
    assert (on_distilled.trained_on, on_real.trained_on) == ("distilled", "real")
    for found in (on_distilled, on_real):
        assert len(found.accuracies) == 4
        for losses, barrier in zip(found.lines.values(), found.barriers.values(), strict=True):
            assert losses.shape == (2, 3)
            heights = losses[:, 1] - (losses[:, 0] + losses[:, 2]) / 2
            assert barrier.each == pytest.approx(np.maximum(heights, 0))
        # Bilinear between grid points is not exact: the ends' own losses are the lines'.
        plane = found.plane
        assert plane.ends[0].tolist() == [0, 0]
        assert plane.ends[1, 1] == 0
        assert plane.x[0] < plane.ends[:, 0].min()
        assert plane.y[-1] > plane.ends[2, 1]
    assert not np.array_equal(on_distilled.lines["real"], on_real.lines["real"])


def test_the_plane_goes_through_the_ends(bundle: DistilledDataset, splits: Splits, monkeypatch: pytest.MonkeyPatch):
    """A point of the grid is the origin plus its coordinates in an orthonormal basis of the plane."""
    seen: list[tuple[list[np.ndarray], np.ndarray]] = []

    def losses(ends, shares, data, loss):
        seen.append(([np.asarray(jax.flatten_util.ravel_pytree(end)[0], float) for end in ends], shares))
        return np.zeros(len(shares))

    monkeypatch.setattr("qdistill.evaluate.landscape.losses_between", losses)
    found, _ = landscapes(bundle, {"own": OWN}, splits, sampling=FEW, plain=PLAIN)
    ends, shares = next((ends, shares) for ends, shares in seen if len(ends) == 3)
    points = shares @ np.stack(ends)
    grid = np.stack(np.meshgrid(found.plane.x, found.plane.y), axis=-1).reshape(-1, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert apart == pytest.approx(np.linalg.norm(grid[:, None] - grid[None], axis=-1), rel=1e-5, abs=1e-5)
    to_ends = np.linalg.norm(points[:, None] - np.stack(ends)[None], axis=-1)
    assert to_ends == pytest.approx(np.linalg.norm(grid[:, None] - found.plane.ends[None], axis=-1), rel=1e-5, abs=1e-5)
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(shares)))


def test_losses_are_those_of_a_plain_loop(bundle: DistilledDataset, splits: Splits):
    ends = [OWN.build((2,), 2, key=jax.random.key(i)) for i in range(2)]
    a, b = (named_weights(end) for end in ends)
    found = losses_between(ends, np.array([[1, 0], [0.25, 0.75]]), bundle.data, "hinge")
    for share, loss in zip((0.0, 0.75), found, strict=True):
        between = {name: (1 - share) * a[name] + share * b[name] for name in a}
        expected = LOSSES["hinge"](predict(with_weights(ends[0], between), bundle.data.inputs), bundle.data.labels)
        assert loss == pytest.approx(float(expected), rel=1e-5)


def test_trainings_differ_in_what_is_drawn_alone(bundle: DistilledDataset, splits: Splits, monkeypatch):
    """Without a step of training the ends are the draws."""
    monkeypatch.setattr("qdistill.evaluate.landscape.compiled_train", lambda model, data, inner: model)
    seen = []
    monkeypatch.setattr(
        "qdistill.evaluate.landscape.losses_between",
        lambda ends, shares, data, loss: (seen.append(ends), np.zeros(len(shares)))[1],
    )
    sampling = dataclasses.replace(FEW, drawn="quantum")
    list(landscapes(bundle, {"own": OWN}, splits, sampling=sampling, plain=PLAIN))
    one, other = seen[0]
    for name, weight in named_weights(one).items():
        assert np.array_equal(weight, named_weights(other)[name]) == (not name.startswith("layer"))


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused(bundle: DistilledDataset, splits: Splits):
    for field, value, message in (
        ("pairs", 1, "`pairs` must be at least 2, but was 1"),
        ("points", 2, "`points` must be at least 3, but was 2"),
        ("drawn", "some", "`drawn` must be"),
        ("pairs", 2.5, "`pairs` must be"),
    ):
        with pytest.raises(ArgumentError, match=message):
            dataclasses.replace(FEW, **{field: value})
    with pytest.raises(ArgumentError, match="for inputs of shape"):
        landscapes(bundle, {"lenet": LeNetArchitecture()}, splits, sampling=FEW, plain=PLAIN)
    with pytest.raises(ArgumentError, match="`batch` must be at most"):
        landscapes(bundle, {"own": OWN}, splits, sampling=dataclasses.replace(FEW, batch=10_000), plain=PLAIN)


def test_the_command_writes_all_of_it(bundle: DistilledDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bundle.save(tmp_path / "b.safetensors")
    command = ["diagnose", str(tmp_path / "b.safetensors"), "--landscape", "own", "own:n-layers=2"]
    command += ["--pairs", "2", "--steps", "2", "--inputs", "10", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    content = json.loads((tmp_path / "out/landscape.json").read_text())
    assert [(row["network"], row["trained_on"]) for row in content["landscapes"]] == [
        (network, data) for network in ("own", "own:n-layers=2") for data in ("distilled", "real")
    ]
    assert np.shape(content["landscapes"][0]["lines"]["real"]) == (2, 25)
    assert (tmp_path / "out/landscape.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("own:n-layers=2") == 4
    assert main(command) == 1
    assert "holds a diagnosis already" in capsys.readouterr().err
    for wrong, message in (
        (["--qubits", "4"], "`qubits` must be left out where there is a landscape"),
        (["--draws", "4"], "`draws` must be left out where there is a landscape"),
    ):
        assert main([*command[:-1], str(tmp_path / "other"), *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["diagnose", "--pairs", "3"]) == 2
    assert "`pairs` must be left out where there is no landscape" in capsys.readouterr().err
    assert main(["diagnose", "--landscape", "own"]) == 2
    assert "must be a bundle where there is a landscape" in capsys.readouterr().err
