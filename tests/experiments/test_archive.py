"""The runs of a table in one file: nothing is lost on the way there and back, and a damaged file is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qdistill.errors import RunError
from qdistill.experiments.archive import pack, read_archive, unpack
from qdistill.experiments.tables.gather import gather
from qdistill.experiments.tables.read import read_table
from qdistill.files import RUNS, TABLE, read_json

RESULTS = Path(__file__).parents[2] / "results"


def contents(folder: Path) -> dict[str, list[Any]]:
    """The JSON of every file in the run folders."""
    return {
        path.relative_to(folder).as_posix(): [json.loads(line) for line in path.read_text().splitlines()]
        if path.suffix == ".jsonl"
        else [json.loads(path.read_text())]
        for path in folder.glob("*/seed-*/*")
    }


COMMITTED = sorted(path.parent.name for path in RESULTS.glob(f"*/{RUNS}"))


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_tables_are_what_their_runs_give(name: str, tmp_path: Path) -> None:
    committed = RESULTS / name
    shutil.copy(committed / RUNS, tmp_path)
    unpack(tmp_path)
    before = contents(tmp_path)
    table = read_json(committed / TABLE)
    again = gather(read_table(name), tmp_path, table["command"])
    assert json.loads(json.dumps(again)) == table
    assert (tmp_path / RUNS).read_bytes() == (committed / RUNS).read_bytes()
    shutil.rmtree(tmp_path / table["rows"][0]["name"])
    unpack(tmp_path)
    assert contents(tmp_path) == before


def write_run(folder: Path, name: str, accuracy: float) -> None:
    own = folder / name
    own.mkdir(parents=True)
    (own / "scores.json").write_text(json.dumps({"test_accuracy": accuracy}))
    (own / "metrics.jsonl").write_text('{"iteration": 1}\n{"iteration": 2}\n')
    (own / "bundle.safetensors").write_bytes(b"arrays")


def test_runs_that_have_not_ended_are_left_where_they_are(tmp_path: Path) -> None:
    write_run(tmp_path, "row/seed-10", 0.5)
    write_run(tmp_path, "row/seed-2", 0.25)
    (tmp_path / "row/seed-3").mkdir()
    (tmp_path / "row/seed-3/recipe.json").write_text("{}")
    pack(tmp_path)
    runs = read_archive(tmp_path)
    assert [run["run"] for run in runs] == ["row/seed-2", "row/seed-10"]
    assert runs[0]["files"] == {
        "scores.json": {"test_accuracy": 0.25},
        "metrics.jsonl": [{"iteration": 1}, {"iteration": 2}],
    }


def test_a_run_that_is_measured_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    write_run(tmp_path, "row/seed-0", 0.5)
    write_run(tmp_path, "row/seed-1", 0.6)
    pack(tmp_path)
    shutil.rmtree(tmp_path / "row")
    write_run(tmp_path, "row/seed-1", 0.7)
    pack(tmp_path)
    found = {run["run"]: run["files"]["scores.json"]["test_accuracy"] for run in read_archive(tmp_path)}
    assert found == {"row/seed-0": 0.5, "row/seed-1": 0.7}


def test_without_a_run_that_has_ended_there_is_no_archive(tmp_path: Path) -> None:
    pack(tmp_path)
    assert not (tmp_path / RUNS).exists()
    (tmp_path / RUNS).touch()
    assert read_archive(tmp_path) == []


def test_a_run_is_laid_out_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "row/seed-0", 0.5)
    pack(tmp_path)
    shutil.rmtree(tmp_path / "row")

    def stops(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("qdistill.experiments.archive.write_json", stops)
        with pytest.raises(KeyboardInterrupt):
            unpack(tmp_path)
    assert list((tmp_path / "row").iterdir()) == []
    unpack(tmp_path)
    assert read_json(tmp_path / "row/seed-0/scores.json") == {"test_accuracy": 0.5}


GOOD = {"run": "row/seed-0", "files": {"scores.json": {}}}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD | {"run": "../row/seed-0"}], "must name a run such as row/seed-0"),
        ([GOOD | {"run": "/tmp/seed-0"}], "must name a run such as row/seed-0"),
        ([GOOD | {"files": {"scores.json": {}, "../evil.json": {}}}], "no other files than"),
        ([GOOD | {"files": {"recipe.json": {}}}], "hold its scores.json"),
        ([GOOD, GOOD], "must hold every run once, but holds row/seed-0 twice"),
        ([{"run": 3, "files": {}}], "line 1 of"),
        ([[]], "line 1 is damaged"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, lines: list[Any], message: str) -> None:
    (tmp_path / RUNS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match=message):
        unpack(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RUNS]


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / RUNS).write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"run": "row/seed-1"})[:-9])
    with pytest.raises(RunError, match="its last line is cut short"):
        read_archive(tmp_path)
