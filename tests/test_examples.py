"""The examples, run in this process on the digits with very few iterations."""

from __future__ import annotations

import dataclasses
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.backends.devices import device
from qdistill.cli import main
from qdistill.cli.plugins import forget_plugins
from qdistill.data import DATASETS
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.protocol import replay
from qdistill.experiments.recipe import Recipe
from qdistill.models import ARCHITECTURES
from qdistill.quantum import Circuit, DeviceModel, Execution, Pair, on_device, with_key

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize("name", ["pennylane_circuit", "qiskit_circuit"])
def test_circuits_of_other_frameworks_are_distilled_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", [name, "--dataset", "digits", "--iterations", "2", "--out", str(out)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert "test accuracy" in capsys.readouterr().out
    bundle = DistilledDataset.load(out / "bundle.safetensors")
    assert isinstance(bundle.architecture.ansatz, Circuit)  # type: ignore[union-attr]
    assert replay(bundle).test_accuracy == bundle.record.test_accuracy
    sampled = with_key(on_device(bundle.initial_model(), Execution(shots=16)), jax.random.key(0))
    slopes = eqx.filter_jit(eqx.filter_grad(lambda network: network(bundle.data.inputs[0]).sum()))(sampled)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.fixture
def names_forgotten() -> Iterator[None]:
    """What a test enters into the package's names is not there for the next one."""
    before: list[tuple[MutableMapping[str, Any], dict[str, Any]]] = [(k, dict(k)) for k in (ARCHITECTURES, DATASETS)]
    yield
    for known, names in before:
        known.clear()
        known.update(names)


@pytest.mark.usefixtures("names_forgotten")
def test_a_network_and_a_dataset_of_ones_own_are_distilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["quanvolution", "--iterations", "2", "--out", str(out)])
    names = runpy.run_path(str(EXAMPLES / "quanvolution.py"), run_name="__main__")
    assert "test accuracy" in capsys.readouterr().out
    bundle = DistilledDataset.load(out / "bundle.safetensors")
    assert bundle.dataset == "five-digits"
    assert bundle.architecture == names["QuanvolutionArchitecture"](n_layers=2)
    assert replay(bundle).test_accuracy == bundle.record.test_accuracy
    del ARCHITECTURES["QuanvolutionArchitecture"], DATASETS["five-digits"]
    # Without the names: the network and the data by hand.
    own = dataclasses.replace(bundle, architecture=None)
    network = bundle.architecture.build((28, 28, 1), 5, key=jax.random.key(9))
    assert replay(own, structure=network, dataset=names["five_digits"]()).test_accuracy == bundle.record.test_accuracy
    with pytest.raises(ArgumentError, match=r"A dataset of your own .* is put into `qdistill\.data\.DATASETS`"):
        replay(own, structure=network)


@pytest.mark.slow
@pytest.mark.usefixtures("names_forgotten")
def test_the_command_line_takes_a_file_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = ["--plugin", str(EXAMPLES / "quanvolution.py")]

    def qdistill(*arguments: str | Path) -> str:
        forget_plugins()
        for name in ("QuanvolutionArchitecture", "five-digits"):
            for known in (ARCHITECTURES, DATASETS):
                known.pop(name, None)
        code = main([*plugin, *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    run, own = tmp_path / "run", ["--architecture", "QuanvolutionArchitecture", "--model.n-layers", "1"]
    short = ["--n-validation", "100", "--outer.iterations", "2", "--outer.validate-every", "2"]
    printed = qdistill("distill", "five-digits", *own, *short, "--out", run)
    assert f"qdistill --plugin {EXAMPLES / 'quanvolution.py'} evaluate {run}" in printed
    command = [sys.executable, "-m", "qdistill", *plugin, "evaluate", str(run)]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stderr
    assert "test set of five-digits" in alone.stdout
    DeviceModel.uniform(4).save(tmp_path / "device.toml")
    known = ("--device", tmp_path / "device.toml", "--out", tmp_path / "known")
    assert "test accuracy" in qdistill("distill", "five-digits", *own, *short, *known)
    executed = ("--backend", "qiskit-aer", "--shots", "10", "--steps", "1", "--gradient", "spsa", "--directions", "1")
    assert f"{5 * 196 * 3:,} of 10 shots" in qdistill("execute", run, *executed, "--out", tmp_path / "executed")
    assert "layer.qasm" in qdistill("export", run, "--to", "qasm", "--out", tmp_path / "qasm")
    noisy = qdistill("evaluate", run, "--device", tmp_path / "device.toml")
    assert "trained and tested on uniform" in noisy
    # 196 patches of 28x28 pixels, 12 angles: the images are not trained, so there is no gradient of the features.
    assert f"{5 * 10 * 196 * 25:,} circuits" in qdistill("cost", run)
    forget_plugins()


@pytest.mark.usefixtures("names_forgotten")
def test_the_document_on_your_own_is_right(tmp_path: Path) -> None:
    names = runpy.run_path(str(EXAMPLES / "quanvolution.py"))
    for name in ("QuanvolutionArchitecture", "five-digits"):
        for known in (ARCHITECTURES, DATASETS):
            known.pop(name, None)
    text = (EXAMPLES.parent / "docs" / "your-own.md").read_text(encoding="utf-8")
    first, second, file, in_python = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    original = names["run"]

    def run(recipe: Recipe, _: str) -> DistilledDataset:
        outer = dataclasses.replace(recipe.outer, iterations=1, validate_every=1)
        return original(dataclasses.replace(recipe, outer=outer), tmp_path / "run")

    names |= {"run": run, "images": np.zeros((3, 28, 28, 1))}
    exec(first + second, names)
    assert names["bundle"].dataset == "five-digits"
    assert names["logits"].shape == (3, 5)
    exec(file + in_python, names)
    recipe = names["recipe"]
    recipe.check_network()
    assert (recipe.model.input_scaling, recipe.inner.loss) == ("feature", "square")


def test_the_document_on_backends_is_right() -> None:
    text = (EXAMPLES.parent / "docs" / "backends.md").read_text(encoding="utf-8")
    imported, by_hand, whole = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(imported + by_hand, names)
    assert names["model"].ansatz.n_weights == 12
    exec(whole, names)
    assert (names["model"].readout, len(names["model"].observables)) == ("expectation", 3)
    assert (names["by_hand"].n_weights, names["by_hand"].n_features) == (3, 2)


def test_the_device_in_the_document_on_backends_is_right(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "docs" / "backends.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "lab.toml").write_text(example)
    model = device(str(tmp_path / "lab.toml"), 6)
    assert (model.name, model.n_wires, model.pairs) == ("lab", 6, (Pair((0, 1), 0.006, 4e-7),))
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text.split("## A device")[1], re.M))))
    assert described >= {field.name for field in dataclasses.fields(DeviceModel)}
