"""Bundles replayed in NumPy from their documentation, against `DistilledDataset.train`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qdistill.data import RawDataset, split
from qdistill.data.transforms import PCA, Rescale, Standardise, Whiten, fit_chain
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.models import LeNetArchitecture, Model, QuantumLeNetArchitecture, named_weights, predict

from .numpy_replay import Replay, conv_pool, pad, read_bundle, transformed
from .samples import digits, digits_bundle, random_bundle

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bundle-format.md"

CASES: dict[str, dict[str, Any]] = {
    "default": {"architecture": QuantumLeNetArchitecture(), "inner": InnerLoop(steps=10, step_sizes="shared")},
    "momentum, projection, a step size a tensor": {
        "architecture": QuantumLeNetArchitecture(skip="projection", n_qubits=3, n_layers=3),
        "inner": InnerLoop(steps=5, epochs=2, optimiser="momentum", step_sizes="tensor"),
        "step_size": 0.02,
    },
    "Adam, no skip, Pauli-Z": {
        "architecture": QuantumLeNetArchitecture(observable="pauli_z", skip="none", n_qubits=4, n_layers=2),
        "inner": InnerLoop(steps=10, optimiser="adam", step_sizes="shared"),
        "step_size": 0.01,
    },
    "a quanvolution": {
        "architecture": QuantumLeNetArchitecture(quanvolution_layers=2, n_qubits=2, n_layers=1),
        "inner": InnerLoop(steps=3, step_sizes="tensor"),
        "input_shape": (16, 16, 2),
    },
    "angles from -pi/2 to pi/2": {
        "architecture": QuantumLeNetArchitecture(embedding="angle", f2_activation="tanh", n_qubits=4, n_layers=2),
        "inner": InnerLoop(steps=5, optimiser="momentum", step_sizes="tensor", loss="square"),
        "step_size": 0.002,
    },
    "Hermitians on three wires": {
        "architecture": QuantumLeNetArchitecture(observable_wires=3, n_qubits=4, n_layers=2, coefficient_scale=0.3),
        "inner": InnerLoop(steps=5, optimiser="momentum", step_sizes="tensor"),
        "step_size": 0.01,
    },
    "dense control, own inputs in every step": {
        "architecture": QuantumLeNetArchitecture(branch="dense", n_qubits=5, n_layers=2),
        "inner": InnerLoop(steps=5, epochs=2, own_examples=True, step_sizes="tensor"),
        "per_class": 2,
    },
    "angle embedding, basic entangling, fixed Hermitian, colour": {
        "architecture": QuantumLeNetArchitecture(
            observable="fixed_hermitian", skip="projection", n_qubits=4, n_layers=2,
            embedding="angle", ansatz="basic_entangling",
        ),
        "inner": InnerLoop(steps=6, step_sizes="tensor", optimiser="momentum"),
        "input_shape": (32, 32, 3),
        "step_size": 0.015,
    },
    "frozen, odd margins": {
        "architecture": QuantumLeNetArchitecture(branch="frozen", n_qubits=2, n_layers=1),
        "inner": InnerLoop(steps=6, step_sizes="tensor", optimiser="adam", loss="fidelity"),
        "input_shape": (25, 20, 1),
        "step_size": 0.001,
    },
    "removed": {
        "architecture": QuantumLeNetArchitecture(branch="removed", n_qubits=4, skip="projection"),
        "inner": InnerLoop(steps=6, step_sizes="shared", loss="hinge"),
    },
    "whitened, colour": {
        "architecture": QuantumLeNetArchitecture(n_qubits=3, n_layers=2),
        "inner": InnerLoop(steps=6, step_sizes="tensor", optimiser="momentum"),
        "input_shape": (16, 18, 3),
        "step_size": 0.01,
        "whiten": True,
    },
    "classical, large": {
        "architecture": LeNetArchitecture(width=20),
        "inner": InnerLoop(steps=6, step_sizes="shared"),
        "input_shape": (36, 40, 1),
    },
}  # fmt: skip


# Compiles faster to code that is slower: right for what runs twice.
_predict = eqx.filter_jit(predict, compiler_options={"xla_backend_optimization_level": 0})


def logits(model: Model, inputs: jax.Array) -> np.ndarray:
    return np.asarray(_predict(model, inputs))


def assert_same_weights(replay: Replay, model: Model, atol: float) -> None:
    weights = named_weights(model)
    assert list(weights) == list(replay.weights)
    for name, weight in weights.items():
        np.testing.assert_allclose(replay.weights[name], weight, atol=atol, rtol=0, err_msg=name)


def without_gradient(architecture: Any) -> set[str]:
    if getattr(architecture, "branch", None) == "frozen":
        return {"branch.weights", "branch.observable.coefficients"}
    return {"branch.observable.coefficients"} if "fixed" in getattr(architecture, "observable", "") else set()


@pytest.mark.parametrize("case", CASES)
def test_numpy_replays_the_file(case: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle.safetensors"
    digits_bundle(**CASES[case]).save(path)
    bundle, replay = DistilledDataset.load(path), Replay(path)
    before, trained = bundle.initial_model(), bundle.train()
    _, _, raw, labels = digits(bundle.input_shape)
    inputs = bundle.transform(raw)

    first = logits(before, inputs)
    np.testing.assert_allclose(replay.logits(raw[:100]), first[:100], atol=1e-4)
    replay.train()
    # Adam divides the rounding of tiny gradients by their own size.
    assert_same_weights(replay, trained, 1e-3 if bundle.inner.optimiser == "adam" else 1e-4)
    for name, initial in bundle.initial_weights.items():
        stays = name in without_gradient(bundle.architecture)
        assert np.array_equal(named_weights(trained)[name], initial) == stays, name
        assert np.array_equal(replay.weights[name], initial) == stays, name
    mine, theirs = replay.logits(raw), logits(trained, inputs)
    np.testing.assert_allclose(mine, theirs, atol=1e-3)
    # It has learned something, or the agreement would say nothing.
    assert np.max(np.abs(theirs - first)) > 0.1
    right = theirs.argmax(axis=1) == labels
    assert abs(np.mean(mine.argmax(axis=1) == labels) - np.mean(right)) <= 0.001


def test_it_makes_no_difference_how_equal_maxima_share_their_derivative(tmp_path: Path) -> None:
    # Columns of one grey level: pooling windows far from the margin hold equal pairs.
    bundle = random_bundle(inner=InnerLoop(steps=3, step_sizes="shared"), input_shape=(28, 28, 1), n_classes=3)
    columns = np.random.default_rng(2).normal(size=(3, 1, 28, 1)).astype(np.float32)
    inputs = jnp.asarray(np.broadcast_to(columns, (3, 28, 28, 1)))
    bundle = eqx.tree_at(lambda b: b.data.inputs, bundle, inputs)
    bundle.save(tmp_path / "columns")
    even, first = Replay(tmp_path / "columns"), Replay(tmp_path / "columns", ties="first")
    _, (_, windows, peaks, _) = conv_pool(pad(np.asarray(inputs, float)), *list(even.weights.values())[:2])
    assert np.mean((windows == peaks[:, :, None, :, None]).sum(axis=(2, 4)) > 1) > 0.5
    even.train(), first.train()
    for name, weight in even.weights.items():
        np.testing.assert_allclose(first.weights[name], weight, atol=1e-12)
    assert_same_weights(even, bundle.train(), 1e-4)


def programs() -> dict[str, Any]:
    """What the document's programs define."""
    namespace: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, namespace)
    return namespace


@given(
    labels=arrays(np.int32, st.integers(8, 60), elements=st.integers(0, 3)).filter(lambda a: len(set(a)) == 4),
    share=st.floats(0.05, 0.9),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
def test_the_document_says_which_inputs_are_the_validation_part(labels: np.ndarray, share: float, dtype: Any) -> None:
    inputs = np.arange(len(labels), dtype=dtype).reshape(-1, 1, 1, 1)
    if dtype == np.float32:
        inputs += np.float32(0.5)  # half a level is none
    raw = RawDataset("any", tuple("abcd"), inputs, labels, inputs, labels, 255.0)
    n_validation = max(1, int(share * len(labels)))
    chosen = programs()["is_validation"](labels, n_validation, of_bytes=dtype == np.uint8)
    np.testing.assert_array_equal(inputs[chosen], split(raw, n_validation=n_validation).validation.inputs)


def test_the_document_reads_the_file(tmp_path: Path) -> None:
    namespace = programs()
    random_bundle().save(tmp_path / "bundle.safetensors")
    header, tensors = namespace["read_bundle"](tmp_path / "bundle.safetensors")
    own_header, own_tensors = read_bundle(tmp_path / "bundle.safetensors")
    assert header == own_header
    assert {name: array.tolist() for name, array in tensors.items()} == {
        name: array.tolist() for name, array in own_tensors.items()
    }


@pytest.mark.parametrize("shape", [(5,), (8, 9, 2)])
def test_numpy_does_to_real_inputs_what_the_chain_does(shape: tuple[int, ...]) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (60, *shape)).astype(np.uint8)
    white = [Whiten()] if len(shape) == 3 else []
    steps = (Standardise(), *white, Rescale(-1.0, 3.0), PCA(4), Standardise("feature"), Rescale(0.0, np.pi, "feature"))
    chain = fit_chain(steps, raw, 255.0)
    x, arrays = raw / 255.0, {name: np.asarray(array, float) for name, array in chain.arrays().items()}
    for place, step in enumerate(chain.to_json()):
        start = f"transforms/{place}/"
        x = transformed(step, {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}, x)
    np.testing.assert_allclose(chain(raw), x, atol=1e-4)


def test_the_document_names_everything_in_a_file(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for case in CASES.values():
        architecture, inner = case["architecture"], case["inner"]
        random_bundle(architecture, inner, per_class=case.get("per_class", 1) * 5).save(tmp_path / "bundle")
        header, tensors = read_bundle(tmp_path / "bundle")
        for name in tensors:
            own = name.split("/")[-1] if name.startswith("transforms/") else name.removeprefix("weights/")
            assert f"`{own}`" in text
        fields = [name for part in ("data", "inner", "record") for name in header[part]]
        fields += [name for part in header["rounding"].values() for name in part]
        values = [value for value in header["architecture"]["fields"].values() if isinstance(value, str)]
        for name in (*header, *header["architecture"]["fields"], *fields, *values, header["inner"]["optimiser"]):
            assert re.search(rf'[`".]{name}[`"]', text), name
