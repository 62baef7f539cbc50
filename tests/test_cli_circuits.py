"""Circuits of one's own on the command line and in recipe files, and the options of any architecture."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from qiskit import qasm3

from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.plugins import forget_plugins
from qdistill.errors import ArgumentError
from qdistill.experiments.recipe_file import read_recipe
from qdistill.models import ARCHITECTURES, CircuitArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import Circuit, Operation, feature, weight

READS = Circuit(
    2, (Operation("RY", (0,), (weight(0) * feature(1) + weight(1) * feature(0),)), Operation("CNOT", (0, 1)))
)
ANSATZ = Circuit(2, (Operation("RX", (1,), (weight(0),)),))

QASM = """OPENQASM 3.0;
input float[64] w_0;
input float[64] w_1;
input float[64] x_0;
input float[64] x_1;
include "stdgates.inc";
qubit[2] q;
ry(w_0 * x_1 + w_1 * x_0) q[0];
cx q[0], q[1];
"""

PENNYLANE = """
import pennylane as qml
import beside

weight_shape, n_features = 2, 2

@qml.qnode(qml.device("default.qubit", wires=2))
def circuit(w, x):
    qml.RY(w[0] * x[1] + w[1] * x[0], beside.WIRE)
    qml.CNOT([0, 1])
    return qml.expval(qml.Z(1)), qml.expval(0.5 * qml.X(0))
"""

QISKIT = """
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

w, x = ParameterVector("w", 2), ParameterVector("x", 2)
circuit = QuantumCircuit(2)
circuit.ry(w[0] * x[1] + w[1] * x[0], 1)
circuit.cx(1, 0)
features = ["x"]
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("WIRE = 0")
    yield tmp_path
    forget_plugins()


def model_of(*arguments: str) -> Any:
    return parse_new(["digits", "--architecture", "circuit", *arguments]).recipe.model


def write(name: str, text: str) -> str:
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def test_a_circuit_is_a_file_of_data():
    model = CircuitArchitecture(READS)
    assert model_of("--model.circuit", write("own.json", json.dumps(READS.to_json()))) == model
    assert model_of(f"--model.circuit={write('own.txt', json.dumps(READS.to_json()))}") == model
    assert model_of("--model.circuit", write("own.qasm", QASM)) == model
    named = model_of("--model.circuit", "own.json", "--model.observables", "Z0", "X0 - Z1", "--model.output-scale", "2")
    assert named == dataclasses.replace(model, observables=("Z0", "X0 - Z1"), output_scale=2.0)
    assert type(named) is CircuitArchitecture


def test_a_circuit_without_features_goes_with_an_embedding():
    write("own.json", json.dumps(ANSATZ.to_json()))
    assert model_of("--model.circuit", "own.json", "--model.embedding", "amplitude") == CircuitArchitecture(
        ANSATZ, "amplitude"
    )
    with pytest.raises(ArgumentError, match="`circuit` must read features where `embedding` is 'none'"):
        model_of("--model.circuit", "own.json")


def test_a_python_file_is_a_whole_model_and_options_change_it():
    write("own.py", PENNYLANE)
    model = CircuitArchitecture(READS, observables=("Z1", "0.5 * X0"))
    assert model_of("--model.circuit", "own.py") == model
    assert model_of("--model.circuit", "own.py", "--model.readout", "probabilities", "--model.observables") == (
        CircuitArchitecture(READS, readout="probabilities")
    )
    write("qiskit.py", QISKIT)
    assert model_of("--model.circuit", "qiskit.py") == CircuitArchitecture(READS)
    write("qiskit.py", QISKIT + "observables = ['ZI']")
    assert model_of("--model.circuit", "qiskit.py") == CircuitArchitecture(READS, "none", "margin", ("Z0",))
    made = "from qdistill import *\nfrom qdistill.quantum import *\nimport dataclasses\n"
    made += "reads = Circuit(1, (Operation('RX', (0,), (weight(0) * feature(0),)),))\n"
    write("ours.py", made + "circuit = reads")
    alone = model_of("--model.circuit", "ours.py")
    write("ours.py", made + "circuit = CircuitArchitecture(reads, readout='probabilities')")
    assert model_of("--model.circuit", "ours.py") == dataclasses.replace(alone, readout="probabilities")


def test_a_python_file_is_an_ansatz():
    write("own.py", PENNYLANE)
    given = ["--model.ansatz", "own.py", "--model.embedding", "none", "--model.skip", "none"]
    model = parse_new(["digits", *given]).recipe.model
    assert model == QuantumLeNetArchitecture(ansatz=READS, n_qubits=2, n_layers=1, embedding="none", skip="none")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.json", "{}", "holds none"),
        ("own.qasm", "OPENQASM 3.0; qubit q; foo q;", "holds none"),
        ("own.qasm", QASM.replace("w_", "inputs_"), "Its inputs must have one of the names features, x, inputs"),
        ("own.qasm", QASM.replace("x_1", "x_5000"), "the elements of 'x' go up to 5000"),
        ("own.py", "x = 1", "must define `circuit`, but does not. It may be a Circuit, a CircuitArchitecture"),
        ("own.py", "circuit = 3", "`circuit` must be a circuit, but is a int"),
        ("own.py", "circuit = 1 / 0", "The circuit own.py failed in own.py, line 1: ZeroDivisionError"),
        (
            "own.py",
            PENNYLANE.replace("weight_shape,", "shape,"),
            "`weight_shape` must be defined beside a `circuit` of",
        ),
        (
            "own.py",
            PENNYLANE.replace("return", "#"),
            "In the file own.py: Argument `qnode` must return what it measures",
        ),
        ("own.py", PENNYLANE + "observables = ['Z0']", "`observables` must not be defined beside such a `circuit`"),
        ("own.py", PENNYLANE.replace("w[0] *", "abs(w[0]) *"), "must have angles that are polynomials"),
    ],
)
def test_a_file_without_a_circuit_is_refused(name, text, message, capsys):
    write(name, text)
    assert main(["distill", "digits", "--architecture", "circuit", "--model.circuit", name]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_file_is_read_once(monkeypatch):
    write("own.py", PENNYLANE + "with open('runs.txt', 'a') as file:\n    file.write('.')\n")
    model_of("--model.circuit", "own.py")
    assert Path("runs.txt").read_text() == "."
    model_of("--model.circuit", "own.py")
    assert Path("runs.txt").read_text() == ".."
    given = ["--model.ansatz", "own.py", "--model.embedding", "none", "--model.skip", "none"]
    parse_new(["digits", *given])
    assert Path("runs.txt").read_text() == "..."
    loads, parsed = qasm3.loads, list[str]()
    monkeypatch.setattr(qasm3, "loads", lambda text: (parsed.append(text), loads(text))[1])
    model_of("--model.circuit", write("own.qasm", QASM))
    assert len(parsed) == 1


@pytest.mark.parametrize("rest", [[], ["--seed", "1"], ["--help"], ["-H"]])
def test_an_option_is_no_file_of_a_circuit(rest, capsys):
    assert main(["distill", "digits", "--architecture", "circuit", "--model.circuit", *rest]) == 2
    assert "Missing value for argument '--model.circuit'" in " ".join(capsys.readouterr().err.split())


def test_a_circuit_must_be_given(capsys):
    assert main(["distill", "digits", "--architecture", "circuit"]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "--model.circuit FILE.json|.qasm|.py" in shown
    assert main(["distill", "digits", "--architecture", "circuit", "--model.circuit", "nowhere.json"]) == 2
    assert "nowhere.json cannot be read: No such file" in capsys.readouterr().err
    assert main(["distill", "digits", "--architecture", "circuit", "--help"]) == 0
    assert "--model.input-scaling" in capsys.readouterr().out


def test_a_recipe_file_names_a_circuit_beside_it(own_folder):
    (own_folder / "recipes").mkdir()
    write("recipes/own.qasm", QASM)
    text = 'dataset = "digits"\n[model]\narchitecture = "circuit"\ncircuit = "own.qasm"\nreadout = "margin"\n'
    path = own_folder / "recipes" / "own.toml"
    path.write_text(text)
    model = read_recipe(path).model
    assert model == CircuitArchitecture(READS, readout="margin")
    assert parse_new([str(path), "--model.readout", "expectation"]).recipe.model == CircuitArchitecture(READS)
    write("recipes/own.json", json.dumps(ANSATZ.to_json()))
    path.write_text('dataset = "digits"\n[model]\nansatz = "own.json"\nn_qubits = 2\nn_layers = 1\n')
    assert read_recipe(path).model == QuantumLeNetArchitecture(ansatz=ANSATZ, n_qubits=2, n_layers=1)
    for bad, message in (
        (text.replace("own.qasm", "own.py"), r"`model.circuit` must be a file of data where a recipe names it"),
        (
            text.replace("own.qasm", "gone.json"),
            r"`model.circuit` must be a file with a circuit, but .*gone.json cannot",
        ),
        (text.replace('circuit = "own.qasm"', ""), r"`model.circuit` must be given, but is missing"),
        (text.replace('"own.qasm"', "{ n_wires = 2 }"), r"must be a circuit, but the circuit is not an object of"),
        (text.replace('"own.qasm"', "3"), r"`model.circuit` must be a Circuit, but was 3"),
    ):
        path.write_text(bad)
        with pytest.raises(ArgumentError, match=message):
            read_recipe(path)


@dataclasses.dataclass(frozen=True)
class OptionsArchitecture:
    """Fields that one option can say, and others."""

    width: int
    circuit: Circuit | None = None
    text: str | Circuit = "usual"
    pairs: tuple[tuple[int, int], ...] = ((1, 2),)

    def build(self, image_shape: Any, n_classes: int, *, key: Any) -> Any:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class NeedsPairsArchitecture:
    """A field without a default that no option can say."""

    pairs: tuple[tuple[int, int], ...]

    def build(self, image_shape: Any, n_classes: int, *, key: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def registered(monkeypatch):
    for kind in (OptionsArchitecture, NeedsPairsArchitecture):
        monkeypatch.setitem(ARCHITECTURES, kind.__name__, kind)


def options(*arguments: str) -> Any:
    return parse_new(["digits", "--architecture", "OptionsArchitecture", *arguments]).recipe.model


@pytest.mark.usefixtures("registered")
def test_a_circuit_may_be_none_or_a_text():
    write("own.json", json.dumps(ANSATZ.to_json()))
    assert options("--model.width", "3") == OptionsArchitecture(3)
    assert options("--model.width", "3", "--model.circuit", "own.json").circuit == ANSATZ
    assert options("--model.width", "3", "--model.circuit", "None").circuit is None
    assert options("--model.width", "3", "--model.text", "other").text == "other"
    assert options("--model.width", "3", "--model.text", "own.json").text == ANSATZ


@pytest.mark.usefixtures("registered")
def test_a_field_that_no_option_can_say_is_refused_by_name(own_folder):
    with pytest.raises(ArgumentError, match=r"`model.pairs` must not be an option, for none can say a tuple\[tuple"):
        options("--model.width", "3", "--model.pairs", "1", "2")
    with pytest.raises(ArgumentError, match=r"NeedsPairsArchitecture needs its field `pairs`, but no option can say a"):
        parse_new(["digits", "--architecture", "NeedsPairsArchitecture"])
    path = own_folder / "own.toml"
    path.write_text('dataset = "digits"\n[model]\narchitecture = "NeedsPairsArchitecture"\npairs = [[3, 4]]\n')
    assert parse_new([str(path)]).recipe.model == NeedsPairsArchitecture(((3, 4),))
