"""Device models: their checks, their file, and their scaling."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qdistill.errors import ArgumentError
from qdistill.quantum import Circuit, DeviceModel, Operation, Pair

from .noisy_reference import some_device


def test_toml_gives_the_device_back(tmp_path):
    for device in (some_device(3), DeviceModel.uniform(2, name='with "quotes" and \\'), some_device(2, factor=0.0)):
        device.save(tmp_path / "device.toml")
        assert DeviceModel.from_toml(tmp_path / "device.toml") == device


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers_of_numpy_are_kept_as_pythons(tmp_path, dtype):
    device = DeviceModel.uniform(2, one_qubit_error=dtype(0.25), t1=dtype(2.0), t2=dtype(1.0), readout=np.zeros(2))
    device = replace(device, pairs=[Pair(np.array([0, 1]), dtype(0.5), np.int64(0))], one_qubit_time=np.zeros(2))
    plain = DeviceModel.uniform(2, one_qubit_error=0.25, t1=2.0, t2=1.0)
    assert repr(device) == repr(replace(plain, pairs=(Pair((0, 1), 0.5, 0),)))
    assert hash(device)
    device.save(tmp_path / "device.toml")
    assert DeviceModel.from_toml(tmp_path / "device.toml") == replace(device, name="uniform")


def test_toml_with_one_value_for_all_wires(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(
        "n_wires = 2\none_qubit_error = 1e-3\none_qubit_time = 5e-8\nt1 = inf\nt2 = [1e-4, 2e-4]\n"
        "readout = [0.01, 0.02]\ntwo_qubit_error = 0.01\ntwo_qubit_time = 5e-7\n"
    )
    device = DeviceModel.from_toml(path)
    assert device.name == "lab"
    assert device.t1 == (math.inf, math.inf)
    assert device.t2 == (1e-4, 2e-4)
    assert device.readout == ((0.01, 0.02), (0.01, 0.02))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("t1 = 1e-4\n", "", "`t1` must be given, but is missing"),
        ("t1 =", "t_1 =", "Did you mean 't1'"),
        ("n_wires = 2\n", "", "`n_wires` must be from 1 to 10000 where"),
        ("t2 = 1e-4", "t2 = 3e-4", "at most twice `t1`"),
        ("two_qubit_error = 0.01", "two_qubit_error = 0.9", "`two_qubit_error` must be from 0 to 0.75, but was 0.9"),
        ("one_qubit_error = 1e-3", "one_qubit_error = -1e-3", "`one_qubit_error` must be from 0 to 0.5"),
        (
            "one_qubit_error = 1e-3",
            'one_qubit_error = "small"',
            "`one_qubit_error[0]` must be a number",
        ),
        ("readout = [0.01, 0.02]", "readout = 0.01", "`readout` must be a list, but was 0.01"),
        ("readout = [0.01, 0.02]", "readout = [0.01, 1.2]", "`readout` must be from 0 to 1, but was 1.2"),
        ("one_qubit_time = 5e-8", "one_qubit_time = inf", "must be finite"),
        ("two_qubit_time = 5e-7", "two_qubit_time = 5e-7\n[[pairs]]\nwires = [0, 1]", "`pairs[0].error` must be given"),
        ("two_qubit_time = 5e-7", "two_qubit_time =", "Cannot read the device"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_bad_file_is_explained(tmp_path, old, new, message):
    text = (
        "n_wires = 2\none_qubit_error = 1e-3\none_qubit_time = 5e-8\nt1 = 1e-4\nt2 = 1e-4\n"
        "readout = [0.01, 0.02]\ntwo_qubit_error = 0.01\ntwo_qubit_time = 5e-7\n"
    )
    assert old in text
    path = tmp_path / "device.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ArgumentError, match="Cannot read the device") as caught:
        DeviceModel.from_toml(path)
    assert message in str(caught.value)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(ArgumentError, match="Cannot read the device"):
        DeviceModel.from_toml(tmp_path / "nothing.toml")


def test_bad_pairs_are_refused():
    with pytest.raises(ArgumentError, match="two different wires"):
        Pair((1, 1), 0.1, 0.0)
    device = DeviceModel.uniform(2)
    for pairs in ((Pair((0, 2), 0.1, 0.0),), (Pair((0, 1), 0.1, 0.0), Pair((1, 0), 0.1, 0.0))):
        with pytest.raises(ArgumentError, match="each pair of the wires 0 to 1 once at most"):
            replace(device, pairs=pairs)
    with pytest.raises(ArgumentError, match="`t2` must have an entry for each of the 2 wires, but had 1"):
        replace(device, t2=(1.0,))


def test_scaling():
    device = some_device(3)
    assert replace(device.scaled(1.0), name=device.name) == device
    none, twice, far = device.scaled(0.0), device.scaled(2.0), device.scaled(1e6)
    assert none.one_qubit_error == (0.0,) * 3
    assert none.t1 == (math.inf,) * 3
    assert none.readout == ((0.0, 0.0),) * 3
    assert twice.t2[0] == device.t2[0] / 2
    assert twice.pairs[0].error == 2 * device.pairs[0].error
    assert far.two_qubit_error == 0.75
    assert far.readout[0] == (0.5, 0.5)
    with pytest.raises(ArgumentError, match="`factor` must be finite and at least 0"):
        device.scaled(-1.0)


def test_gates_on_uncoupled_pairs_are_counted():
    circuit = Circuit(3, tuple(Operation("CNOT", wires) for wires in ((0, 1), (1, 0), (0, 2))))
    device = replace(DeviceModel.uniform(3), pairs=(Pair((1, 0), 0.1, 0.0),))
    assert device.n_uncoupled(circuit) == 1
    assert DeviceModel.uniform(3).n_uncoupled(circuit) == 0
