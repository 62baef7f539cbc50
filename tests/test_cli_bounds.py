"""Numbers on the command line that are out of every bound: refused at once, in one line."""

import pytest

from qdistill.cli import main
from qdistill.errors import ArgumentError
from qdistill.quantum import DeviceModel

HUGE = str(10**30)
CALLS = [
    ("evaluate", "mnist-10-qlenet", "--shots", HUGE),
    ("evaluate", "mnist-10-qlenet", "--shots", "10", "--seed", "-1"),
    ("evaluate", "mnist-10-qlenet", "--initialisations", "2", "--seed", str(2**32)),
    ("execute", "mnist-10-qlenet", "--backend", "qiskit-aer", "--shots", HUGE),
    ("execute", "mnist-10-qlenet", "--backend", "qiskit-aer", "--shots", "10", "--seed", "-1"),
    ("execute", "mnist-10-qlenet", "--backend", "qiskit-aer", "--shots", "10", "--seed", HUGE),
    ("diagnose", "--dataset", "digits", "--seed", HUGE),
    ("distill", "digits", "--shots", HUGE),
    ("distill", "digits", "--seed", str(2**63)),
    ("distill", "digits", "--outer.iterations", HUGE),
    ("distill", "digits", "--seeds", "0:1000000000"),
    ("distill", "digits", "--seeds", f"0:{HUGE}"),
    ("distill", "digits", "--seeds", "4294967295:4294967297"),
    ("cost", "mnist-10-qlenet", "--shots", HUGE),
    ("cost", "mnist-10-qlenet", "--shots", "1" + "0" * 400),
]


@pytest.mark.parametrize("arguments", CALLS, ids=range(len(CALLS)))
def test_what_is_out_of_every_bound_is_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "must be" in shown
    assert "this is a bug" not in shown
    assert len(shown) < 600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_wires", [10**9, 10**400])
def test_a_device_of_too_many_wires_is_refused_before_they_are_written_down(n_wires, tmp_path):
    path = tmp_path / "device.toml"
    DeviceModel.uniform(2).save(path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("t1")]
    path.write_text("\n".join([f"n_wires = {n_wires}", "t1 = 1e-4", *lines]), encoding="utf-8")
    with pytest.raises(ArgumentError, match="`n_wires` must be"):
        DeviceModel.from_toml(path)
