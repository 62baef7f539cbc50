"""`qdistill export`: every program that it writes is run, and its result compared with ours."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qiskit.qasm3
from qiskit.quantum_info import Statevector

from qdistill.cli import main
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import BundleError
from qdistill.evaluate.protocol import replay
from qdistill.models import ARCHITECTURES, LeNetArchitecture, QuantumLeNetArchitecture, named_weights
from qdistill.quantum import (
    AngleEmbedding,
    BasicEntangling,
    Circuit,
    Hermitian,
    Operation,
    QuantumLayer,
    constant,
    feature,
    weight,
)

from ..distill.samples import digits_bundle, random_bundle

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo" / "mnist-10-qlenet.safetensors"
Q = QuantumLeNetArchitecture

MIXED = Circuit(
    3,
    (
        Operation("RX", (0,), (feature(2).scaled(0.5),)),
        Operation("Rot", (1,), (weight(0), feature(0), weight(1).scaled(-2.0))),
        Operation("CRX", (0, 2), (weight(2) * feature(1) * feature(1) / 8 + weight(0),)),
        Operation("H", (1,)),
        Operation("Unitary", (2,), matrix=((0.6j, 0.8 + 0j), (0.8 + 0j, 0.6j))),
        Operation("SWAP", (2, 0)),
        Operation("RY", (0,), (constant(0.3),)),
        Operation("CRZ", (1, 0), (feature(1),)),
        Operation("RX", (1,), (0.1 * (3 - feature(0)) * (3 - feature(1)) - weight(0) * weight(0),)),
    ),
)
"""Gates and angles of every kind, as a user's own circuit may have them."""

QUANVOLUTION = "a quanvolution"
PAIRS = "Hermitians on two wires"
WHITENED = "whitened inputs"
OWN = "a circuit of the user's own that reads features"
NETWORKS: dict[str, tuple[Any, InnerLoop]] = {
    OWN: (
        Q(n_qubits=3, n_layers=1, ansatz=MIXED, embedding="none"),
        InnerLoop(steps=3, optimiser="momentum"),
    ),
    "angles, a fixed Hermitian, a projection": (
        Q(
            n_qubits=3,
            n_layers=1,
            embedding="angle",
            observable="fixed_hermitian",
            skip="projection",
            f2_activation="tanh",
        ),
        InnerLoop(steps=3, optimiser="adam", step_sizes="shared"),
    ),
    "frozen, no skip": (Q(n_qubits=2, n_layers=2, branch="frozen", skip="none"), InnerLoop(steps=3)),
    QUANVOLUTION: (Q(n_qubits=2, n_layers=1, quanvolution_layers=1), InnerLoop(steps=2)),
    PAIRS: (Q(n_qubits=3, n_layers=1, observable_wires=2, coefficient_scale=0.5), InnerLoop(steps=2)),
    "Pauli-Z": (Q(n_qubits=3, n_layers=1, observable="pauli_z", ansatz=MIXED), InnerLoop(steps=2)),
    "the dense control": (Q(n_qubits=3, n_layers=1, branch="dense"), InnerLoop(steps=2, own_examples=True)),
    "removed, a projection": (Q(n_qubits=2, n_layers=1, branch="removed", skip="projection"), InnerLoop(steps=2)),
    "classical": (LeNetArchitecture(width=12), InnerLoop(steps=2)),
    WHITENED: (Q(n_qubits=2, n_layers=1), InnerLoop(steps=2)),
}


def saved(tmp_path: Path, name: str) -> tuple[Path, DistilledDataset]:
    """A small bundle of digits and its file."""
    architecture, inner = NETWORKS[name]
    step_size = 0.002 if inner.optimiser == "adam" else 0.02
    bundle = digits_bundle(architecture, inner, per_class=1, step_size=step_size, whiten=name == WHITENED)
    bundle.save(tmp_path / "bundle.safetensors")
    return tmp_path / "bundle.safetensors", bundle


def execute(folder: Path) -> tuple[str, dict[str, Any]]:
    """Run a program as it stands: what it prints, and its names."""
    (program,) = folder.glob("*.py")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        names = runpy.run_path(str(program), run_name="__main__")
    return printed.getvalue(), names


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_programs_train_as_we_do(target: str, name: str, tmp_path: Path) -> None:
    path, bundle = saved(tmp_path, name)
    assert main(["export", str(path), "--to", target, "--out", str(tmp_path / "out"), "--no-compilation-cache"]) == 0
    printed, names = execute(tmp_path / "out")
    weights = {key: np.asarray(value) for key, value in names["weights"].items()}
    expected = named_weights(bundle.train())
    assert set(weights) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(weights[key], value, atol=1e-3, err_msg=key)
        changed = np.abs(np.asarray(value) - np.asarray(bundle.initial_weights[key])).max()
        assert np.abs(weights[key] - np.asarray(value)).max() <= 0.01 * changed + 1e-6, key
    (share,) = re.findall(r"test accuracy (\d\.\d+) \(n = 500\)", printed)
    assert abs(float(share) - replay(bundle).test_accuracy) <= 0.004


@pytest.mark.parametrize("target", ["pennylane", "qiskit"])
def test_layer_programs_give_our_values(target: str, tmp_path: Path) -> None:
    assert main(["export", str(ZOO), "--to", target, "--out", str(tmp_path)]) == 0
    printed, names = execute(tmp_path)
    assert "largest difference from qdistill:" in printed
    bundle = DistilledDataset.load(ZOO)
    model: Any = bundle.train()
    features = jax.vmap(model.features)(bundle.data.inputs)
    with np.load(tmp_path / "layer.npz") as arrays:
        np.testing.assert_allclose(arrays["features"], features, atol=1e-4)
    np.testing.assert_allclose(names["values"], jax.vmap(model.branch)(features), atol=1e-4)


@pytest.mark.parametrize("target", ["pennylane", "qiskit"])
@pytest.mark.parametrize("name", [OWN, PAIRS, "Pauli-Z", "angles, a fixed Hermitian, a projection"])
def test_layer_programs_of_every_embedding_and_observable(target: str, name: str, tmp_path: Path) -> None:
    path, bundle = saved(tmp_path, name)
    assert main(["export", str(path), "--to", target]) == 0
    program = tmp_path / f"bundle-{target}" / "layer.py"
    names: dict[str, Any] = {"__name__": "imported", "__file__": str(program)}
    assert "the file layer.npz beside" in program.read_text(encoding="utf-8")
    exec(compile(program.read_text(), "layer.py", "exec"), names)
    model: Any = bundle.train()
    features = model.features(bundle.data.inputs[0])
    np.testing.assert_allclose(names["evaluate"](np.asarray(features)), model.branch(features), atol=1e-4)


@pytest.mark.parametrize("target", ["numpy", "torch", "pennylane", "qiskit", "qasm"])
def test_what_is_written_names_the_file_that_it_needs(target: str, tmp_path: Path) -> None:
    path, _ = saved(tmp_path, QUANVOLUTION)
    assert main(["export", str(path), "--to", target, "--out", str(tmp_path / "out")]) == 0
    written = {file.name for file in (tmp_path / "out").iterdir()}
    texts = [name for name in written if not name.endswith(".npz")]
    assert len(texts) == (1 if target in ("numpy", "torch") else 2)
    for name in texts:
        needed = set(re.findall(r"[\w-]+\.npz", (tmp_path / "out" / name).read_text()))
        assert needed == {"bundle.npz" if target in ("numpy", "torch") else f"{Path(name).stem}.npz"}
        assert needed < written


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("qiskit", r"largest difference from qdistill: \d\.\de-(0[6-9]|\d\d)"),
        ("numpy", r"test accuracy \d\.\d+ \(n = 500\)"),
        ("torch", r"test accuracy \d\.\d+ \(n = 500\)"),
    ],
)
def test_a_program_runs_in_a_process_of_its_own_from_another_folder(target: str, says: str, tmp_path: Path) -> None:
    path, _ = saved(tmp_path, "Pauli-Z")
    assert main(["export", str(path), "--to", target, "--out", str(tmp_path / "out")]) == 0
    (tmp_path / "elsewhere").mkdir()
    (program,) = (tmp_path / "out").glob("*.py")
    command = [sys.executable, str(Path("..", "out", program.name))]
    done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(says, done.stdout)


def test_openqasm_text_has_our_state(tmp_path: Path) -> None:
    assert main(["export", str(ZOO), "--to", "qasm", "--out", str(tmp_path)]) == 0
    with np.load(tmp_path / "layer.npz") as file:
        arrays = dict(file)
    circuit = qiskit.qasm3.loads((tmp_path / "layer.qasm").read_text())
    numbers = {"weights": arrays["angles"], "features": arrays["qasm_features"][0]}
    values = {p: float(numbers[p.name.split("_")[0]][int(p.name.split("_")[1])]) for p in circuit.parameters}
    state = Statevector(circuit.assign_parameters(values))
    for wire, row in enumerate(arrays["coefficients"]):
        density = np.asarray(state.data).reshape((2,) * 6)
        split = np.moveaxis(density, 5 - wire, 0).reshape(2, -1)
        paulis = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
        value = np.einsum("ia,p,pij,ja->", split.conj(), row, paulis, split).real
        assert abs(value - arrays["values"][0, wire]) < 1e-4


@dataclasses.dataclass(frozen=True)
class OwnArchitecture:
    """A network of the user's own that is a quantum layer alone."""

    def build(self, input_shape: tuple[int, int, int], n_classes: int, *, key: jax.Array) -> eqx.Module:
        class Own(eqx.Module):
            branch: QuantumLayer

            def __call__(self, x: jax.Array) -> jax.Array:
                return self.branch(x.ravel()[:2])

        observable = Hermitian(jnp.ones((n_classes, 16)), ((0, 1),) * n_classes)
        return Own(QuantumLayer(AngleEmbedding(2), BasicEntangling(2, 1).circuit(), jnp.zeros((1, 2)), observable))


@pytest.mark.parametrize("architecture", [LeNetArchitecture(width=4), Q(n_qubits=2, n_layers=1, branch="dense")])
def test_networks_without_a_quantum_layer(architecture: Any, tmp_path: Path, capsys: Any) -> None:
    random_bundle(architecture).save(tmp_path / "bundle")
    for target in ("pennylane", "qiskit", "qasm"):
        assert main(["export", str(tmp_path / "bundle"), "--to", target]) == 1
        assert f"no quantum layer that could be exported to {target}." in " ".join(capsys.readouterr().err.split())
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("target", ["pennylane", "qiskit"])
def test_the_layer_of_a_network_of_ones_own(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "OwnArchitecture", OwnArchitecture)
    bundle = random_bundle(OwnArchitecture())
    bundle.save(tmp_path / "bundle")
    assert main(["export", str(tmp_path / "bundle"), "--to", target, "--out", str(tmp_path / "out")]) == 0
    _, names = execute(tmp_path / "out")
    expected = jax.vmap(bundle.train())(bundle.data.inputs)
    np.testing.assert_allclose(names["values"], expected, atol=1e-4)


def test_every_layer_of_a_quanvolution_s_network(tmp_path: Path, capsys: Any) -> None:
    path, bundle = saved(tmp_path, QUANVOLUTION)
    out = tmp_path / "bundle-qiskit"
    assert main(["export", str(path), "--to", "qiskit"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(out / f"layer-{i}.{end}") for i in (1, 2) for end in ("py", "npz")]
    assert printed.err == f"Next: python {out / 'layer-1.py'}\n"
    model: Any = bundle.train()
    for number, layer in ((1, model.features.c1.layer), (2, model.branch)):
        names: dict[str, Any] = {"__name__": "imported", "__file__": str(out / f"layer-{number}.py")}
        exec(compile((out / f"layer-{number}.py").read_text(), "layer.py", "exec"), names)
        features = names["ARRAYS"]["features"]
        # 256 patches of ten inputs are cut to 1,000 rows.
        assert len(features) == (1000 if number == 1 else len(bundle.data.inputs))
        values = [names["evaluate"](row) for row in features[:3]]
        np.testing.assert_allclose(values, jax.vmap(layer)(features[:3]), atol=1e-4)
        np.testing.assert_allclose(names["ARRAYS"]["values"][:3], values, atol=1e-4)
    np.testing.assert_allclose(features, jax.vmap(model.features)(bundle.data.inputs), atol=1e-5)


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, "classical")
    assert main(["export", str(path), "--to", "tensorflow"]) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: Any) -> None:
    path, _ = saved(tmp_path, "classical")
    assert main(["export", str(path), "--to", "numpy", "--out", str(path / "folder")]) == 1
    assert "Cannot create the folder" in capsys.readouterr().err


def test_a_network_that_the_file_does_not_describe(tmp_path: Path, capsys: Any) -> None:
    bundle = dataclasses.replace(
        random_bundle(input_shape=(28, 28, 1), n_classes=10), architecture=None, dataset="digits"
    )
    bundle.save(tmp_path / "bundle")
    for target in ("numpy", "qasm"):
        assert main(["export", str(tmp_path / "bundle"), "--to", target]) == 1
        assert "does not describe" in capsys.readouterr().err
    with pytest.raises(BundleError):
        bundle.initial_model()
