"""The zoo on the command line: its list, its names beside files of the same name, and what is written where."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qdistill.cli import main
from qdistill.distill.zoo import zoo_names, zoo_path

ROOT = Path(__file__).resolve().parents[1]
NAME = "mnist-10-qlenet"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_keeps_within_the_terminal(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["zoo", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(width, 80)
    assert [line.split()[0] for line in lines[1:] if line.strip() and not line.startswith(" ")] == zoo_names()
    (mine,) = [k for k, line in enumerate(lines) if line.split()[0] == NAME]
    assert lines[mine].split()[1:4] == ["mnist", "10", "10"]
    assert "97.67%" in lines[mine]
    assert lines[mine + 1].startswith("  quantum LeNet")
    assert "10,000" in " ".join(lines[mine + 1 : mine + 3])


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("command", ["show", "report"])
def test_what_hides_a_name_of_the_zoo_is_said(kind, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qdistill.report.page.write_report", lambda *_, **__: "page")
    if kind == "folder":
        Path(NAME).mkdir()
        shutil.copy(zoo_path("mnist-10-qlenet-one-step"), Path(NAME, "bundle.safetensors"))
    else:
        shutil.copy(zoo_path("mnist-10-qlenet-one-step"), NAME)
    assert main([command, NAME]) == 0
    err = capsys.readouterr().err
    assert f"{NAME} is the {kind} here, not the zoo's bundle of that name" in err
    assert f"qdistill zoo get {NAME} --out" in err
    assert main([command, f"./{NAME}"]) == 0
    assert capsys.readouterr().err == err  # the same file, by another name of it
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main([command, NAME]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_name_is_answered_by_the_one_that_was_meant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["show", "mnist-10-qlent"], ["zoo", "get", "mnist-10-qlent"]):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert err.index("Did you mean 'mnist-10-qlenet'?") < 200


def test_exports_of_the_zoo_have_a_folder_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qdistill.backends.bundle_export.export_layers", lambda _, __, folder: [folder / "layer.qasm"])
    assert main(["export", NAME, "--to", "qasm", "--no-compilation-cache"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("exports", f"{NAME}-qasm", "layer.qasm"))
    assert main(["zoo", "get", NAME]) == 0
    capsys.readouterr()
    assert main(["export", f"{NAME}.safetensors", "--to", "qasm", "--no-compilation-cache"]) == 0
    assert capsys.readouterr().out.strip() == str(Path(f"{NAME}-qasm", "layer.qasm"))


def test_what_a_user_leaves_in_the_checkout_is_not_checked(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ugly = 'import os\nprint( "x" )\n'
    for folder in ("mnist-10-qlenet-qiskit", "exports/mnist-10-qlenet-numpy"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "layer.py").write_text(ugly)
    (tmp_path / "mine.py").write_text(ugly)

    def ruff(*arguments):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).returncode

    assert (ruff("check"), ruff("format", "--check")) == (0, 0)
    (tmp_path / "src" / "qdistill").mkdir(parents=True)
    (tmp_path / "src" / "qdistill" / "x.py").write_text(ugly)
    assert (ruff("check"), ruff("format", "--check")) == (1, 1)
