"""The examples, run in this process on the digits with very few iterations."""

from __future__ import annotations

import dataclasses
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from qdistill.data import DATASETS
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.protocol import replay
from qdistill.models import ARCHITECTURES
from qdistill.quantum import Circuit, Execution, on_device, with_key

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
    slopes = eqx.filter_jit(eqx.filter_grad(lambda network: network(bundle.data.images[0]).sum()))(sampled)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_a_network_and_a_dataset_of_ones_own_are_distilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known in (ARCHITECTURES, DATASETS):
        for name, value in list(known.items()):
            monkeypatch.setitem(known, name, value)
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
    with pytest.raises(ArgumentError, match=r"Put a dataset of your own into `qdistill\.data\.DATASETS`"):
        replay(own, structure=network)


def test_the_document_on_backends_is_right() -> None:
    text = (EXAMPLES.parent / "docs" / "backends.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["model"].ansatz.n_weights == 12
