"""The tutorials run as they stand, but for the number of iterations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from qdistill.data import DATASETS

pytestmark = pytest.mark.end_to_end

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ITERATIONS = re.compile(r"\b(iterations|validate_every)=(\d+)\b")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in TUTORIALS.glob("*.md") if path.stem != "index"))
def test_a_tutorial_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    before = dict(DATASETS)
    text = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    # A tenth of them: what a longer run would come to is in no cell.
    cells = [ITERATIONS.sub(lambda found: f"{found[1]}={int(found[2]) // 10}", cell) for cell in CELL.findall(text)]
    assert len(cells) >= 3
    names: dict[str, Any] = {"__name__": name}
    try:
        for number, cell in enumerate(cells):
            exec(compile(cell, f"{name}.md, cell {number}", "exec"), names)
    finally:
        DATASETS.clear()
        DATASETS.update(before)
    assert not list(tmp_path.iterdir()), "a reader's folder is left as it was"
