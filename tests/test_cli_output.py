"""What the command line prints, and how it fails where it cannot."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdistill.cli import main, output
from qdistill.distill.zoo import zoo_path

from .distill.samples import random_bundle

FULL = Path("/dev/full")
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def acted_on(text):
    """What a terminal would act on, but for line ends."""
    return re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


def save(path, names=("a", "b", "c"), **changes):
    random_bundle(**changes, class_names=tuple(names)).save(path)
    return path


@pytest.fixture
def shown(tmp_path, capsys):
    """What `show` prints of a bundle with these fields."""

    def show(**changes):
        path = save(tmp_path / "b.safetensors", **changes)
        assert main(["show", str(path)]) == 0
        return capsys.readouterr()

    return show


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [(["--help"], ""), (["zoo", "list"], "1"), (["show", "mnist-10-qlenet"], "")]
)
def test_an_output_that_cannot_be_written_is_reported_as_that(arguments, unbuffered, tmp_path):
    with FULL.open("w") as full:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            [sys.executable, "-m", "qdistill", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: Cannot write to standard output: No space left on device.\n"


def test_a_file_that_the_system_refuses_is_named_and_no_bug(monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr("qdistill.distill.bundle.DistilledDataset.load", broken)
    assert main(["show", str(tmp_path / "x.safetensors")]) == 1
    assert capsys.readouterr().err.startswith("error: Cannot read or write /somewhere: Permission denied")


def test_show_prints_everything_where_it_cannot_draw(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = zoo_path("mnist-10-qlenet")
    folder.rmdir()
    assert main(["show", "mnist-10-qlenet"]) == 0
    out, err = capsys.readouterr()
    assert str(path) in out
    assert "optax" in out
    assert "The examples were not drawn: Cannot write" in err
    assert "--out" in err
    assert main(["show", "mnist-10-qlenet", "--out", str(folder / "x.png")]) == 1


def test_a_file_s_escape_sequences_are_never_printed(shown):
    out, err = shown(
        names=(ESCAPE, "a\u202eb", "[red]:warning:[/]"),
        dataset=f"mnist{ESCAPE}",
        provenance={ESCAPE: ESCAPE, "versions": {ESCAPE: ESCAPE}, "test accuracy": "99.99%"},
    )
    assert not acted_on(out + err)
    assert "\\x1b]0;owned\\x07" in out
    assert "[red]:warning:[/]" in out


def test_provenance_is_not_taken_for_what_this_command_says(shown):
    out, _ = shown(provenance={"test accuracy": "99.99%"})
    assert out.index("provenance") < out.index("99.99%")
    assert not re.search(r"^test accuracy +99.99%", out, re.MULTILINE)


def test_a_huge_provenance_is_counted_and_not_printed(shown):
    many = {f"key {k}": k for k in range(20_000)}
    out, _ = shown(provenance=many | {"versions": many, "long": "x" * 100_000})
    assert len(out) < 6_000
    assert "and 19,972 more" in out
    out, _ = shown(provenance={"versions": many})
    assert "and 19,980 more" in out
    assert len(out) < 4_000


@given(st.lists(st.text(max_size=30), min_size=3, max_size=3, unique=True), st.text(max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_shown(monkeypatch, tmp_path, capsys, names, key):
    monkeypatch.setattr("qdistill.report.figures.draw_images", lambda _, path: path)
    path = save(tmp_path / "b.safetensors", names, provenance={key: key})
    assert main(["show", str(path)]) == 0
    out, err = capsys.readouterr()
    assert not acted_on(out + err)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_show_keeps_within_the_terminal(width, shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    out, _ = shown(names=["a class with a name of many words, " * 5, "x" * 300, "猫" * 90])
    first, *table, last = out.splitlines()
    assert first.endswith("b.safetensors")
    assert last.startswith("Examples drawn in ")
    wide = [line for line in table if len(line) + sum(c == "猫" for c in line) > width]
    assert wide == []


def test_a_message_loses_its_escape_sequences_and_keeps_its_lines(capsys):
    output.say(f"one {ESCAPE}\ntwo")
    assert capsys.readouterr().err == "one \\x1b]0;owned\\x07\\x1b[2J\ntwo\n"
    output.say("")
    assert capsys.readouterr().err == "\n"


def test_a_traceback_loses_them_too(monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise RuntimeError(ESCAPE)

    monkeypatch.setattr("qdistill.distill.bundle.DistilledDataset.load", broken)
    assert main(["show", str(tmp_path / "x.safetensors"), "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert not acted_on(err)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_number_that_it_does_not_know(value, capsys):
    output.tell_json({"a": [value, (1.5, {"b": value})], "c": ESCAPE})
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": [None, [1.5, {"b": None}]], "c": ESCAPE}
    assert not acted_on(text)


def test_a_terminal_s_encoding_is_no_reason_to_fail(tmp_path):
    path = save(tmp_path / "b.safetensors", ("café", "猫", "c"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "qdistill", "show", str(path)], capture_output=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\xe9, \\u732b" in done.stdout
