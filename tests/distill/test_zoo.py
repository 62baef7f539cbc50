"""The zoo: every bundle is small, measured, and found by name."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import jax.numpy as jnp
import pytest

from qdistill.cli import main
from qdistill.data import FittedChain
from qdistill.data.fitted import Whitened
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.in_words import network_of
from qdistill.distill.zoo import named_or_path, zoo_names, zoo_path
from qdistill.errors import ArgumentError
from qdistill.experiments.recipe import Recipe
from qdistill.files import shipped
from qdistill.models import QuantumLeNetArchitecture

from .samples import random_bundle


@pytest.mark.parametrize("name", zoo_names())
def test_every_bundle_is_small_and_measured(name: str) -> None:
    assert zoo_path(name).stat().st_size < 400 * 1024
    bundle = DistilledDataset.load(name)
    assert bundle.record.test_accuracy is not None
    assert bundle.record.n_test == (1_902 if bundle.dataset == "mnist-3v5" else 10_000)


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = zoo_names()[0]
    assert named_or_path(name) == zoo_path(name)
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"")
    assert named_or_path(name) == Path(name)


def test_an_unknown_name() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'mnist-10-qlenet'"):
        zoo_path("mnist-10-qlenett")


def test_list_and_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = [k for k, line in enumerate(lines) if line.startswith("mnist-10-qlenet-no-residual ")]
    assert lines[place].split()[1:] == ["mnist", "10", "10", "97.54%"]
    assert lines[place + 1] == "  quantum LeNet, no residual, trainable Hermitian; n = 10,000"
    assert main(["zoo", "get", "mnist-10-qlenet"]) == 0
    assert Path("mnist-10-qlenet.safetensors").read_bytes() == zoo_path("mnist-10-qlenet").read_bytes()
    assert main(["zoo", "get", "mnist-10-qlenet"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["zoo", "get"]) == 2
    assert main(["show", "mnist-10-qlenet"]) == 0
    assert Path("mnist-10-qlenet.png").exists()


def test_a_network_in_words() -> None:
    model = QuantumLeNetArchitecture(embedding="angle", skip="none", observable="pauli_z")
    recipe = Recipe("digits", model=model).to_json()
    bundle = random_bundle(model, input_shape=(28, 28, 1), recipe=recipe)
    white = FittedChain(255.0, (*bundle.transform.steps, Whitened(jnp.ones((7, 7, 1, 1)))))
    bundle = dataclasses.replace(bundle, transform=white)
    assert network_of(bundle) == "quantum LeNet, no residual, Pauli-Z, angle embedding, whitened inputs"


def test_the_card_is_that_of_the_bundles() -> None:
    script = runpy.run_path(str(shipped("zoo") / "make_card.py"))
    assert script["card"]() == (shipped("zoo") / "README.md").read_text()
