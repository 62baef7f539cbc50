"""Folders to report on, made by hand and with small networks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from qdistill.data import Digits
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record
from qdistill.distill.training_set import TrainingSet
from qdistill.experiments.defaults import default_recipe
from qdistill.models import QuantumLeNetArchitecture
from qdistill.report import table as tables

from ..distill.samples import random_weights

SMALL = QuantumLeNetArchitecture(n_qubits=2, n_layers=2)
HOSTILE = '<script src="http://evil.example/x.js">alert("&")</script>'
"""What a run folder may hold and a page must only ever show."""


def make_bundle(inner: InnerLoop | None = None, **changes: Any) -> DistilledDataset:
    """Ten real digits as a bundle for a quantum LeNet of two qubits."""
    inner = inner or InnerLoop(steps=2, step_sizes="shared")
    raw, random = Digits().load(), np.random.default_rng(0)
    transform = fit_chain((Standardise(),), raw.train_inputs, raw.scale)
    picked = [int(np.flatnonzero(raw.train_labels == k)[0]) for k in range(10)]
    weights = random_weights(SMALL, Digits().input_shape, 10, seed=0)
    groups = 1 if inner.step_sizes == "shared" else len(weights)
    fields: dict[str, Any] = {
        "data": TrainingSet(
            jnp.asarray(transform(raw.train_inputs[picked])),
            jnp.asarray(np.eye(10) + random.uniform(-0.2, 0.2, (10, 10)), jnp.float32),
            jnp.asarray(random.uniform(0.02, 0.04, (inner.total_steps, groups)), jnp.float32),
            inner.schedule(10),
        ),
        "initial_weights": weights,
        "architecture": SMALL,
        "inner": inner,
        "transform": transform,
        "class_names": raw.class_names,
        "dataset": "digits",
        "recipe": dataclasses.replace(default_recipe("digits"), inner=inner, model=SMALL).to_json(),
        "provenance": {"device": HOSTILE},
        "record": Record(None, None, 0.25, 200),
    }
    return DistilledDataset(**(fields | changes))


def write_run(folder: Path, bundle: DistilledDataset | None, n_lines: int = 3) -> Path:
    """A run folder, with the bundle if there is one."""
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(default_recipe("digits").to_json()))
    (folder / "provenance.json").write_text(json.dumps({"device": HOSTILE, "versions": {"jax": "0.10.2"}}))
    lines = [
        {"iteration": 10 * k, "loss": 2.0 / k, "validation_accuracy": 0.2 * k, "step_sizes": [[0.02 * k]] * 3}
        for k in range(1, n_lines + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if bundle is not None:
        bundle.save(folder / "bundle.safetensors")
        scores = bundle.record.to_json() | {"seconds": 12.5, "best_iteration": 20, "rejected": 0}
        (folder / "scores.json").write_text(json.dumps(scores))
    return folder


TABLE: dict[str, Any] = {
    "title": "Table I",
    "name": "table1-mnist",
    "command": "qdistill paper table1",
    "note": f"Not everything has run. {HOSTILE}",
    "rows": [
        {
            "name": "pad-hermitian",
            "title": "residual, trainable Hermitian",
            "group": "ablation",
            "recipe": f'dataset = "mnist"\n# {HOSTILE}',
            "seeds": [0, 1, 2],
            "asked": 5,
            "test_accuracies": [0.9716, 0.9767, 0.9674],
            "validation_accuracies": [0.97, 0.98, 0.97],
            "mean": 0.9719,
            "interval": [0.9602, 0.9836],
            "n_test": 10_000,
            "published": 0.919,
            "examples": 10,
            "steps": 10,
            "circuits": 1_234_567,
            "circuits_of_all": 446_434_560,
            "core_minutes": 14.25,
            "gpu_minutes": None,
        },
        {
            "name": "removed",
            "title": f"quantum branch removed {HOSTILE}",
            "group": "control",
            "recipe": "",
            "seeds": [0],
            "asked": 1,
            "test_accuracies": [0.41],
            "validation_accuracies": [0.4],
            "mean": 0.41,
            "interval": None,
            "n_test": 10_000,
            "published": None,
            "examples": None,
            "steps": 4300,
            "circuits": 0,
            "circuits_of_all": 0,
            "core_minutes": 3.0,
            "gpu_minutes": 0.5,
        },
    ],
    "made_with": [f"Linux x86_64, 2 cores, {HOSTILE}"],
    "groups": {"ablation": "The network and its ablations", "control": "Controls"},
    "by_steps": [],
    "differences": [
        {
            "minuend": "pad-hermitian",
            "subtrahend": "removed",
            "titles": ["with the quantum layer", "without"],
            "mean": -0.0043,
            "interval": [-0.0138, 0.0052],
            "n": 3,
            "text": "Three seeds show no difference.",
        }
    ],
}


def write_table(folder: Path, table: Any = None) -> Path:
    """A table's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps(TABLE if table is None else table))
    if table is None:
        tables.write_table(folder)
    return folder
