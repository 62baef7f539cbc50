"""Whatever the files of a folder hold, a report is a page or one line that says which of them is damaged."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdistill.cli import main

from .runs import TABLE, write_run, write_table

FILES = {
    "run": ["metrics.jsonl", "recipe.json", "provenance.json", "scores.json"],
    "seeds": ["seeds.json", "seed-3/metrics.jsonl", "seed-3/recipe.json", "seed-3/scores.json", "seed-5/scores.json"],
    "table": ["table.json"],
}
VALUES = (None, True, "x", "", [], {}, [[]], -1, 0.5, math.nan, math.inf, 10**400, "\x1b[31m", {"a": {"b": []}})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of each kind, without bundles: what they hold is not the question here."""
    root = tmp_path_factory.mktemp("whole")
    scores = {"test_accuracy": 0.5, "n_test": 500, "validation_accuracy": 0.4, "n_validation": 100, "seconds": 1.5}
    for folder in (root / "run", root / "seeds" / "seed-3", root / "seeds" / "seed-5"):
        write_run(folder, None)
        (folder / "scores.json").write_text(json.dumps(scores | {"best_iteration": 20, "rejected": 0}))
    (root / "seeds" / "seeds.json").write_text("[3, 5]")
    write_table(root / "table", TABLE)
    return root


def places(value, path=()):
    """Every place in nested plain data, the whole first."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def put(value, path, other):
    """The same data with another value at a place; at the end of a path it may be left out."""
    if not path:
        return other
    changed = list(value) if isinstance(value, list) else dict(value)
    changed[path[0]] = put(value[path[0]], path[1:], other)
    return changed


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_one_line(kind, whole, tmp_path_factory, capsys, unchecked, data):
    folder = tmp_path_factory.mktemp("damaged") / kind
    shutil.copytree(whole / kind, folder)
    name = data.draw(st.sampled_from(FILES[kind]))
    text = (folder / name).read_text()
    lines = [json.loads(line) for line in text.splitlines()] if name.endswith("jsonl") else json.loads(text)
    path = data.draw(st.sampled_from(list(places(lines))[name.endswith("jsonl") :]))
    changed = put(lines, path, data.draw(st.sampled_from(VALUES)))
    written = "".join(json.dumps(line) + "\n" for line in changed) if name.endswith("jsonl") else json.dumps(changed)
    (folder / name).write_text(written)
    code = main(["report", str(folder), "--no-compilation-cache"])
    err = capsys.readouterr().err
    assert code in (0, 1), err
    if code == 1:
        assert err.startswith("error: Cannot read ")
        assert str(folder) in err
        assert len(err.splitlines()) == 1
        assert len(err) < 1000
