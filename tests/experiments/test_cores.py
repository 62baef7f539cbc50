"""Runs on several cores: the numbers of one core, the same bits again, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from qdistill import machine
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError
from qdistill.experiments import devices as devices_module
from qdistill.experiments.devices import check_cores, devices_for
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run
from qdistill.models import LeNetArchitecture

RECIPE = Recipe(
    "digits",
    model=LeNetArchitecture(width=8),
    compression=Compression(per_class=1),
    inner=InnerLoop(steps=2, optimiser="momentum"),
    outer=OuterLoop(iterations=10, batch=30, schedule="constant", validate_every=5),
    n_validation=40,
)

# Everything in one process, which starts JAX and compiles each program once.
PROGRAM = """
import json, shutil, sys
from dataclasses import replace
from pathlib import Path
import jax
from qdistill.experiments.devices import make_cores_devices
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run
make_cores_devices(2)
recipe, folder = Recipe.from_json(json.loads(sys.argv[1])), Path(sys.argv[2])
assert len(jax.devices()) == 2
jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
run(recipe, folder / "one", cores=1)
run(recipe, folder / "two", cores=2)
five = replace(recipe, outer=replace(recipe.outer, iterations=5))
run(five, folder / "resumed", cores=2)
shutil.copytree(folder / "resumed", folder / "moved")
run(five, folder / "resumed", resume=True, iterations=10, cores=2)
run(five, folder / "moved", resume=True, iterations=10, cores=1)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if machine.usable_cores() < 2:
        pytest.skip("there is one core")
    folder = tmp_path_factory.mktemp("cores")
    subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(RECIPE.to_json()), str(folder)], check=True)
    return folder


def tensors(folder: Path) -> dict[str, Any]:
    return load_file(folder / "bundle.safetensors")


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_cores_give_the_numbers_of_one(runs: Path) -> None:
    one, two = tensors(runs / "one"), tensors(runs / "two")
    assert one.keys() == two.keys()
    moved = [name for name in one if not np.array_equal(one[name], two[name])]
    assert "inputs" in moved, "the work was shared, which rounds otherwise"
    for name, alone in one.items():
        # Adam divides by the size of a gradient, which magnifies the rounding of small ones.
        np.testing.assert_allclose(two[name], alone, rtol=1e-3, atol=1e-3, err_msg=name)
    for first, second in zip(metrics(runs / "one"), metrics(runs / "two"), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)
        assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=1e-3)


def test_as_many_cores_give_the_same_bits_again(runs: Path) -> None:
    whole, resumed = tensors(runs / "two"), tensors(runs / "resumed")
    for name, expected in whole.items():
        np.testing.assert_array_equal(resumed[name], expected, err_msg=name)


def test_a_run_goes_on_on_another_number_of_cores_and_says_so(runs: Path) -> None:
    whole, moved = tensors(runs / "two"), tensors(runs / "moved")
    for name, expected in whole.items():
        np.testing.assert_allclose(moved[name], expected, rtol=1e-3, atol=1e-3, err_msg=name)
    sessions = json.loads((runs / "moved" / "provenance.json").read_text())["sessions"]
    assert [session["n_devices"] for session in sessions] == [2, 1]
    assert json.loads((runs / "two" / "recipe.json").read_text()) == RECIPE.to_json()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cores", [0, -1, 4, 2.0, True, "2"])
def test_cores_that_there_are_not_are_refused(cores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_module, "usable_cores", lambda: 3)
    with pytest.raises(ArgumentError, match=r"`cores` must be a whole number from 1 to 3, .* but was"):
        check_cores(cores)
    with pytest.raises(ArgumentError, match=r"`cores` must be a whole number from 1 to 3"):
        run(RECIPE, tmp_path / "run", cores=cores)
    assert not (tmp_path / "run").exists()


def test_jax_that_was_used_with_fewer_devices_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(jax.devices()) < 64
    monkeypatch.setattr(devices_module, "usable_cores", lambda: 64)
    with pytest.raises(ArgumentError, match=r"`cores` must be at most \d+, with which JAX has been used .* but was 64"):
        devices_for(64)


def test_a_groups_share_of_the_time_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    groups = tmp_path / "proc/self/cgroup"
    two, one = tmp_path / "sys/fs/cgroup/batch/job", tmp_path / "sys/fs/cgroup/cpu/job"
    for folder in (two, one):
        folder.mkdir(parents=True)
    (two / "cpu.max").write_text("max 100000\n")
    (two.parent / "cpu.max").write_text("350000 100000\n")
    (one / "cpu.cfs_quota_us").write_text("150000\n")
    (one / "cpu.cfs_period_us").write_text("100000\n")
    (one.parent / "cpu.cfs_quota_us").write_text("-1\n")
    (one.parent / "cpu.cfs_period_us").write_text("100000\n")
    for text, expected in (("0::/batch/job\n", [3.5]), ("4:cpu,cpuacct:/job\n", [1.5]), ("4:memory:/job\n", [])):
        groups.write_text(text)
        assert list(machine._control_group_quotas(tmp_path)) == expected
    monkeypatch.setattr(machine, "_control_group_quotas", lambda _: iter([0.5]))
    assert machine.usable_cores() == 1


def test_the_recipe_knows_nothing_of_cores() -> None:
    assert "cores" not in json.dumps(RECIPE.to_json())
    assert "cores" not in {field.name for field in dataclasses.fields(Recipe)}
