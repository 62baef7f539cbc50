"""Bundles for other frameworks: their arrays, and a short program that uses them without this package.

For a circuit classifier ``"pennylane"`` and ``"qiskit"`` write a program that trains it; for other networks they write
the quantum layers as they are after the training, and ``"qasm"`` does for all. ``"numpy"`` and ``"torch"`` write all
that the training of an image network needs, and the test inputs that measure it; ``"csv"`` writes the examples, and
``"huggingface"`` a folder for the hub, see `huggingface`.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.backends.circuit_program import Framework, circuit_program, is_classifier, untrained
from qdistill.backends.huggingface import export_huggingface
from qdistill.backends.kernel_program import kernel_program
from qdistill.backends.layer_scripts import pennylane_script, qiskit_script, with_axes, written_out
from qdistill.backends.openqasm import to_openqasm
from qdistill.backends.pennylane import layer_arrays
from qdistill.data import RawDataset
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError
from qdistill.files import write_all
from qdistill.models import LeNet, Model, QuantumLeNet, named_weights
from qdistill.models.lenet import SIDE
from qdistill.quantum import (
    Circuit,
    QuantumLayer,
    answered,
    embedded_features,
    quantum_layers,
)
from qdistill.quantum.gates import GATES, UNITARY
from qdistill.quantum.paulis import pauli_strings

LayerTarget = Literal["pennylane", "qiskit", "qasm"]
TrainingTarget = Literal["numpy", "torch"]
Target = LayerTarget | TrainingTarget | Literal["csv", "huggingface"]
LAYER_TARGETS = ("pennylane", "qiskit", "qasm")
TRAINING_TARGETS = ("numpy", "torch")
TARGETS = (*LAYER_TARGETS, *TRAINING_TARGETS, "csv", "huggingface")


_MOST_ROWS = 1000
"""Feature vectors that are written with a layer: what another framework evaluates in seconds."""


_QASM_INPUTS = """\
// A quantum layer. Of the arrays in {name}.npz, weights_i is "angles"[i] and features_i is "qasm_features"[row, i],
// where a row is a vector that the network gives the layer; "values"[row] is what qdistill gives for it.
"""


def trains(bundle: DistilledDataset, target: Target) -> bool:
    """Whether the program for a target trains on the examples: it takes the dataset, whose test part it measures."""
    if target in TRAINING_TARGETS:
        return True
    return target in ("pennylane", "qiskit") and (bundle.kernel is not None or is_classifier(bundle))


def export_bundle(bundle: DistilledDataset, target: Target, folder: Path, raw: RawDataset | None = None) -> list[Path]:
    """Write a bundle for a target: a program that trains, its trained layers, or its examples.

    Args:
        bundle: what to write.
        target: see the module's text.
        folder: made if it is not there; files of the same names are replaced.
        raw: the dataset, where the program `trains`.

    Returns:
        The files.

    Raises:
        ArgumentError: another target, or no dataset for a program that trains.
        BundleError: the target has nothing of the bundle's network, or the dataset is for another.
        RunError: a file cannot be written.
    """
    if target not in TARGETS:
        raise ArgumentError.unknown("target", target, TARGETS)
    if target == "csv":
        return export_examples(bundle, folder)
    if target == "huggingface":
        return export_huggingface(bundle, folder)
    if target == "numpy" or target == "torch":
        return export_training(bundle, target, folder, _needed(raw, target))
    if target != "qasm" and trains(bundle, target):
        return export_classifier(bundle, target, folder, _needed(raw, target))
    return export_layers(bundle, target, folder)


def _needed(raw: RawDataset | None, target: Target) -> RawDataset:
    if raw is None:
        raise ArgumentError(f"Argument `raw` must be the dataset for the target {target!r}, but was None.")
    return raw


def export_layers(bundle: DistilledDataset, target: LayerTarget, folder: Path) -> list[Path]:
    """Write the trained quantum layers of a bundle's network for another framework.

    The file ``layer.npz`` holds a layer's weights by the names of `qdistill.backends.pennylane`, feature vectors that
    the trained network gives it for the distilled examples, at most 1,000 of them, and its values for them. Where the
    network has several layers their files are ``layer-1.npz`` and so on, as they lie in the network.

    Args:
        bundle: its training is replayed first.
        target: ``"qasm"`` writes the text ``layer.qasm``, whose inputs ``features_...`` are ``qasm_features`` in the
            arrays; the others a program ``layer.py``.
        folder: made if it is not there; files of the same names are replaced.

    Returns:
        The files.

    Raises:
        BundleError: the bundle does not say which network it is for, or the network has no quantum layer.
        CircuitError: the network calls a layer within `jax.vmap`.
        RunError: a file cannot be written.
    """
    if target not in LAYER_TARGETS:
        raise ArgumentError.unknown("target", target, LAYER_TARGETS)
    network = _network(bundle)
    if bundle.kernel is not None:
        raise BundleError(
            f"The bundle is of a kernel, whose model is its support points: there is no layer to export to {target}."
        )
    if not quantum_layers(network):
        raise BundleError(f"The bundle's network has no quantum layer that could be exported to {target}.")
    model = bundle.train()
    layers, files = quantum_layers(model), {}
    for number, features in _features(model, bundle.data.inputs).items():
        layer, name = layers[number], "layer" if len(layers) == 1 else f"layer-{number + 1}"
        arrays = {**layer_arrays(layer), "features": features, "values": jax.vmap(layer)(features)}
        if target == "qasm":
            prepared = [embedded_features(layer.embedding, layer.circuit, row) for row in features]
            arrays["qasm_features"] = jnp.stack(prepared)
            files[f"{name}.qasm"] = (_QASM_INPUTS.format(name=name) + to_openqasm(layer)).encode()
        else:
            script = pennylane_script if target == "pennylane" else qiskit_script
            files[f"{name}.py"] = script(layer, name).encode()
        files[f"{name}.npz"] = _npz(arrays)
    return write_all(folder, files)


def _features(model: Model, inputs: Float[Array, "inputs *shape"]) -> dict[int, Array]:
    """What a network gives each of its quantum layers for some inputs: the first rows of it."""
    numbers: list[int] = []

    def read(x: Array) -> list[Array]:
        kept: list[Array] = []
        numbers.clear()

        def keep(number: int, layer: QuantumLayer, vectors: Array) -> Array:
            numbers.append(number)
            kept.append(vectors)
            return jax.vmap(layer)(vectors)

        answered(model, keep)(x)
        return kept

    rows: dict[int, list[Array]] = {}
    for vectors, number in zip(jax.vmap(read)(inputs), numbers, strict=True):
        rows.setdefault(number, []).append(vectors.reshape(-1, vectors.shape[-1]))
    return {number: jnp.concatenate(parts)[:_MOST_ROWS] for number, parts in sorted(rows.items())}


def export_training(bundle: DistilledDataset, target: TrainingTarget, folder: Path, raw: RawDataset) -> list[Path]:
    """Write a bundle with a program ``train.py`` that trains on it in NumPy or PyTorch and measures the result.

    Args:
        bundle: what to write.
        target: the framework.
        folder: made if it is not there; files of the same names are replaced.
        raw: the dataset, whose test part is written too.

    Returns:
        The files.

    Raises:
        BundleError: the bundle's network is none of this package's, or is for other inputs than the dataset's.
        RunError: a file cannot be written.
    """
    if target not in TRAINING_TARGETS:
        raise ArgumentError.unknown("target", target, TRAINING_TARGETS)
    raw = bundle.fitted(raw)
    data, transform = bundle.data, bundle.transform
    arrays = {
        "inputs": data.inputs,
        "labels": data.labels,
        "step_sizes": data.step_sizes,
        "schedule": data.schedule,
        **transform.arrays(),
        "test_inputs": raw.test_inputs,
        "test_labels": raw.test_labels,
        "settings": np.array(json.dumps(_settings(bundle))),
        **{f"weights/{name}": array for name, array in bundle.initial_weights.items()},
    }
    script = (Path(__file__).parent / "scripts" / f"{target}_train.py").read_bytes()
    return write_all(folder, {"bundle.npz": _npz(arrays), "train.py": script})


def export_classifier(bundle: DistilledDataset, framework: Framework, folder: Path, raw: RawDataset) -> list[Path]:
    """Write a circuit classifier's or a kernel's bundle with a program ``train.py`` for PennyLane or Qiskit.

    Args:
        bundle: what to write.
        framework: see `circuit_program` and `kernel_program`.
        folder: made if it is not there; files of the same names are replaced.
        raw: the dataset, whose test part is written too, as the model reads it. Where it is other data than the bundle
            was made from, the program does not name the recorded accuracy.

    Returns:
        The files.

    Raises:
        BundleError: its network is neither, no program can train it there, or the dataset is another.
        RunError: a file cannot be written.
    """
    write = kernel_program if bundle.kernel is not None else circuit_program
    program = write(bundle, framework, bundle.recorded_on(raw))
    data, raw = bundle.data, bundle.fitted(raw)
    arrays = {
        "inputs": data.inputs,
        "labels": data.labels,
        "step_sizes": data.step_sizes,
        "schedule": data.schedule,
        "test_inputs": bundle.transform(raw.test_inputs),
        "test_labels": raw.test_labels,
        **{f"weights/{name}": array for name, array in bundle.initial_weights.items()},
    }
    return write_all(folder, {"bundle.npz": _npz(arrays), "train.py": program.encode()})


def export_examples(bundle: DistilledDataset, folder: Path) -> list[Path]:
    """Write the examples of a bundle as a table, ``examples.csv``: a row for each, as the model reads it.

    The columns are the numbers of the input in C order, ``x0`` and so on, and the label's weight for each class.

    Args:
        bundle: what to write.
        folder: made if it is not there.

    Raises:
        RunError: the file cannot be written.
    """
    inputs, labels = (np.asarray(array) for array in (bundle.data.inputs, bundle.data.labels))
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    flat = inputs.reshape(len(inputs), -1)
    rows.writerow([f"x{k}" for k in range(flat.shape[1])] + [f"label {name}" for name in bundle.class_names])
    # As many digits as give the same float32 again.
    rows.writerows([str(number) for number in row] for row in np.concatenate([flat, labels], axis=1))
    return write_all(folder, {"examples.csv": table.getvalue().encode()})


def _network(bundle: DistilledDataset) -> Any:
    """The bundle's network before its training."""
    if bundle.architecture is None:
        raise BundleError("The bundle is for a network that its file does not describe, which cannot be exported.")
    return bundle.initial_model()


def _settings(bundle: DistilledDataset) -> dict[str, Any]:
    """What a training program has to know besides the arrays, as plain JSON."""
    model = _network(bundle)
    if not isinstance(model, LeNet | QuantumLeNet):
        fit = "pennylane, qiskit or csv take" if bundle.kernel is not None or quantum_layers(model) else "csv takes"
        raise BundleError(
            f"The bundle's network is the architecture {type(bundle.architecture).__name__}, but numpy and torch train "
            f"LeNets alone; --to {fit} this one."
        )
    margins = [max(0, SIDE - side) for side in bundle.input_shape[:2]]
    (top, bottom), (left, right) = ((m // 2, m - m // 2) for m in margins)
    settings: dict[str, Any] = {
        "weight_names": list(named_weights(model)),
        "optimiser": bundle.inner.optimiser,
        "loss": bundle.inner.loss,
        "scale": bundle.transform.scale,
        "transforms": bundle.transform.to_json(),
        "padding": [left, right, top, bottom],
        "branch": "removed",
        "quanvolution": None,
        "f2_activation": model.features.f2_activation,
        "skip": model.skip if isinstance(model, QuantumLeNet) else "pad",
        "fixed": [],
    }
    first = getattr(model.features.c1, "layer", None)
    if isinstance(first, QuantumLayer):
        settings["quanvolution"] = _layer("features.c1.layer", first)
    branch = model.branch if isinstance(model, QuantumLeNet) else None
    if isinstance(branch, QuantumLayer):
        settings["branch"] = _layer("branch", branch)
        settings["fixed"] = untrained("branch", branch, bundle.initial_weights)
    elif branch is not None:
        settings["branch"] = "dense"
    return settings


def _layer(name: str, layer: QuantumLayer) -> dict[str, Any]:
    """What a program has to know of a quantum layer; its weights are the arrays with this name before theirs."""
    n, amplitude, circuit = written_out(layer)
    return {
        "name": name,
        "n_wires": n,
        "amplitude": amplitude,
        "gates": _gates(circuit),
        "observables": layer.observable.wires,
        "strings": pauli_strings(len(layer.observable.wires[0])),
    }


def _gates(circuit: Circuit) -> list[dict[str, Any]]:
    """A circuit as rotations about one axis and fixed matrices, which a short program can go through."""
    gates: list[dict[str, Any]] = []
    for operation, rotations in with_axes(circuit):
        wires = list(operation.wires)
        gates += [{"axis": axis, "wires": wires, **angle.to_json()} for axis, angle in rotations]
        if not rotations:
            matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
            gates.append({"real": matrix.real.tolist(), "imaginary": matrix.imag.tolist(), "wires": wires})
    return gates


def _npz(arrays: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    plain: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(content, **plain)
    return content.getvalue()
