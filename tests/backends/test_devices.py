"""Device models from Qiskit's fake backends: the numbers they report, and the wires that are chosen."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit.quantum_info import PTM
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke

from qdistill.backends.devices import device, from_qiskit_backend
from qdistill.errors import ArgumentError, MissingExtraError
from qdistill.quantum import DeviceModel
from qdistill.quantum.channels import gate_noise


@pytest.fixture(scope="module")
def sherbrooke():
    return FakeSherbrooke()


def qubits_of(model, backend):
    """The backend's qubits behind a model's wires, found by their relaxation times."""
    times = [properties.t1 for properties in backend.target.qubit_properties]
    return [times.index(t1) for t1 in model.t1]


def test_the_noise_of_a_coupled_pair_is_that_of_qiskits_noise_model(sherbrooke):
    model = from_qiskit_backend(sherbrooke, 4)
    qubits = qubits_of(model, sherbrooke)
    errors = NoiseModel.from_backend(sherbrooke)._local_quantum_errors["ecr"]
    assert len(model.pairs) >= 3
    for pair in model.pairs:
        wires = pair.wires if (qubits[pair.wires[0]], qubits[pair.wires[1]]) in errors else pair.wires[::-1]
        expected = errors[tuple(qubits[wire] for wire in wires)]
        # Qiskit's first qubit is the least significant.
        assert np.abs(gate_noise(model, wires[::-1]) - PTM(expected).data.real).max() < 1e-6


def test_readout_and_times_are_the_reported_ones(sherbrooke):
    model = from_qiskit_backend(sherbrooke, 3)
    for wire, qubit in enumerate(qubits_of(model, sherbrooke)):
        reported = sherbrooke.properties().qubit_property(qubit)
        assert model.readout[wire] == (reported["prob_meas1_prep0"][0], reported["prob_meas0_prep1"][0])
        assert model.one_qubit_error[wire] == 2 * sherbrooke.target["sx"][(qubit,)].error
        assert model.t2[wire] <= 2 * model.t1[wire]


def test_the_wires_are_connected_and_better_than_the_first(sherbrooke):
    model = device("fake_sherbrooke", 6)
    assert model.n_wires == 6
    assert model.name == "fake_sherbrooke"
    assert device("FakeSherbrooke", 6) == model
    reached = {0}
    for _ in range(6):
        reached |= {wire for pair in model.pairs if reached & set(pair.wires) for wire in pair.wires}
    assert reached == set(range(6))
    everyone = from_qiskit_backend(sherbrooke, 60)
    assert model.two_qubit_error < everyone.two_qubit_error


def test_one_wire_and_all_wires():
    assert from_qiskit_backend(FakeManilaV2(), 1).pairs == ()
    whole = device("fake_manila", 5)
    assert len(whole.pairs) == 4


def test_numbers_reported_as_integers_are_accepted(monkeypatch):
    backend = FakeManilaV2()
    reported = {"prob_meas1_prep0": (1, None), "prob_meas0_prep1": (0, None)}
    monkeypatch.setattr(backend, "properties", lambda: SimpleNamespace(qubit_property=lambda _: reported))
    assert from_qiskit_backend(backend, 3).readout == ((1.0, 0.0),) * 3


def test_bad_devices_are_refused():
    with pytest.raises(ArgumentError, match="`n_wires` must be from 1 to 5, the wires of fake_manila, but was 6"):
        device("fake_manila", 6)
    with pytest.raises(ArgumentError, match=r"Did you mean 'fake_sherbrooke'\? Known are \d+ names from fake_"):
        device("fake_sherbroke", 2)


def test_a_file_of_too_few_wires_is_refused(tmp_path):
    path = str(tmp_path / "small.toml")
    DeviceModel.uniform(3, name="small").save(path)
    assert device(path, 3) == DeviceModel.uniform(3, name="small")
    with pytest.raises(ArgumentError, match=r"`device` must have at least 4 wires, but .*small\.toml has 3\."):
        device(path, 4)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime.fake_provider", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'qdistill\[qiskit\]'"):
        device("fake_manila", 2)
