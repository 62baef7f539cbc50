"""A Ray cluster: runs end whatever dies, nodes of another version run nothing, and what is not there is said to be."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from safetensors.numpy import load_file

import qdistill
from qdistill.errors import MissingExtraError, RunError
from qdistill.experiments.engines import ray_cluster, ray_gate, ray_worker
from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.choose import engine_for
from qdistill.experiments.engines.drive import Driven
from qdistill.experiments.engines.engine import Change
from qdistill.experiments.engines.options import Each, Place
from qdistill.experiments.engines.process import one_process
from qdistill.experiments.engines.ray_cluster import RayCluster
from qdistill.experiments.engines.ray_post import Post
from qdistill.experiments.engines.ray_worker import read_files, work, write_files
from qdistill.experiments.engines.unit import Failure, Setup, Task, Unit
from qdistill.experiments.run import run
from qdistill.files import BUNDLE, CHECKPOINT, METRICS, RECIPE, SCORES, read_json
from qdistill.folders import LOCK

from .samples import recipe_of_digits

RECIPE_OF_DIGITS = recipe_of_digits(iterations=300, validate_every=10)


def unit_in(folder: Path, seed: int = 0) -> Unit:
    return Unit(dataclasses.replace(RECIPE_OF_DIGITS, seed=seed), folder / f"seed-{seed}", f"row/seed-{seed}")


with_a_cluster = pytest.mark.skipif(
    "QDISTILL_TEST_CLUSTER" not in os.environ, reason="starts a cluster of ten processes; set QDISTILL_TEST_CLUSTER=1"
)
# Ray forks to start its own programs, in a process where JAX has threads.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing; nodes are added by the tests."""
    # A node may take long to start beside other tests.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")
    from ray.cluster_utils import Cluster

    # It is sent by value, which what checks its annotations in the tests does not allow.
    spec = importlib.util.spec_from_file_location(ray_gate.__name__, str(ray_gate.__file__))
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **_SMALL})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "ray_gate", plain)
        patch.setitem(sys.modules, ray_gate.__name__, plain)
        yield made
    made.shutdown()


_SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


class Disturbed(RayCluster):
    """The first worker is killed after a look, and the only node after another; then a node joins."""

    def __init__(self, setup: Setup, cluster: Any, first: Any) -> None:
        super().__init__(setup, Each(), cluster.address)
        self.cluster, self.node, self.kills = cluster, first, 0
        self.seen = -1

    def look(self) -> Iterator[Change]:
        yield from super().look()
        (unit,) = self._units
        lines = len((unit.folder / METRICS).read_text().splitlines()) if (unit.folder / METRICS).exists() else 0
        if self.kills == 0 and lines >= 1:
            os.kill(_worker_of(unit), signal.SIGKILL)
            self.kills, self.seen = 1, lines
        elif self.kills == 1 and lines > self.seen:
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.cluster.add_node(num_cpus=1, **_SMALL)
            self.kills = 2


def _worker_of(unit: Unit) -> int:
    """The process that a unit's task runs in, which Ray names for it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{unit.name}".encode()):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError(f"no process runs {unit.name}")


@with_a_cluster
@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_run_survives_its_worker_and_its_node(cluster: Any, tmp_path: Path) -> None:
    first = cluster.add_node(num_cpus=1, **_SMALL)
    unit, said = unit_in(tmp_path), io.StringIO()
    made: list[Disturbed] = []

    def workers(setup: Setup) -> Disturbed:
        made.append(Disturbed(setup, cluster, first))
        return made[0]

    Driven(workers, Setup(), Board(Console(file=said, width=200))).run([unit])
    assert made[0].kills == 2
    assert said.getvalue().count("begun again on") == 2
    sessions = read_json(unit.folder / "provenance.json")["sessions"]
    starts = [one["iteration"] for one in sessions]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]
    assert not (unit.folder / LOCK).exists()
    run(unit.recipe, tmp_path / "undisturbed")
    expected, found = (load_file(folder / BUNDLE) for folder in (tmp_path / "undisturbed", unit.folder))
    for name, array in expected.items():
        assert (found[name] == array).all(), name


@with_a_cluster
def test_a_node_of_another_version_runs_nothing(cluster: Any, tmp_path: Path) -> None:
    shutil.copytree(Path(qdistill.__file__).parent, tmp_path / "other" / "qdistill")
    version = tmp_path / "other" / "qdistill" / "version.py"
    version.write_text(version.read_text().replace(qdistill.__version__, "0.0.1"))
    node = cluster.add_node(
        num_cpus=1, resources={"old": 1}, env_vars={"PYTHONPATH": str(tmp_path / "other")}, **_SMALL
    )
    said, unit = io.StringIO(), unit_in(tmp_path)

    class Elsewhere(RayCluster):
        """The other nodes of the cluster are refused already."""

        def submit(self, units: Any) -> None:
            nodes = [one for one in self._ray.nodes() if one["Alive"] and "old" not in one["Resources"]]
            self._refused = {one["NodeID"]: "it is another's" for one in nodes}
            super().submit(units)

    refusal = (
        rf"row/seed-0: No node is left to run on: .*; the node \S+ has qdistill 0\.0\.1 \({qdistill.__version__} here\)"
    )
    with pytest.raises(RunError, match=refusal):
        Driven(lambda setup: Elsewhere(setup, Each(), cluster.address), Setup(), Board(Console(file=said))).run([unit])
    cluster.remove_node(node)
    assert not unit.folder.exists()


def test_the_gate_compares_all_that_decides_about_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ray_gate.versions()
    assert own["qdistill"] == qdistill.__version__
    assert own == ray_gate.versions()
    other = own | {"jax": "0.9", "the code of qdistill": "0"}
    assert ray_gate._difference(own, other) == (
        f"has the code of qdistill {own['the code of qdistill']} (0 here), jax {own['jax']} (0.9 here)"
    )
    monkeypatch.setitem(sys.modules, "qdistill.version", None)
    assert ray_gate._difference(ray_gate.versions(), own) == "has no qdistill"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'qdistill\[ray\]'"):
        RayCluster(Setup(), Each())


def test_no_cluster_at_the_address() -> None:
    refusal = r"There is no Ray cluster at 127\.0\.0\.1:1 \(Connection refused\)\. Start one"
    with pytest.raises(RunError, match=refusal):
        engine_for(Place("ray", "127.0.0.1:1"), Setup())
    with pytest.raises(RunError, match=refusal):
        RayCluster(Setup(), Each(), "127.0.0.1:1")


def test_the_post_keeps_the_last_files_and_refuses_a_stale_attempt() -> None:
    post = Post()
    post.give(3, {"a": b"1"})
    assert post.begin(3, "first") == (1, {"a": b"1"})
    assert post.store(3, 1, {"b": b"2"})
    assert post.begin(3, "second") == (2, {"a": b"1", "b": b"2"})
    assert not post.store(3, 1, {"b": b"3"})
    assert post.store(3, 2, {"b": b"4"})
    assert post.collect() == ({3: (2, "second")}, {3: {"b": b"4"}})
    assert post.collect() == ({}, {})
    post.forget(3)
    assert post.begin(3, "third") == (3, {})


def test_files_are_written_in_the_order_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {name: name.encode() for name in (SCORES, BUNDLE, CHECKPOINT, METRICS, RECIPE, "log.txt", "device.toml")}
    order: list[str] = []
    whole = ray_worker.write_whole

    def noted(path: Path, content: bytes) -> None:
        order.append(path.relative_to(tmp_path).as_posix())
        whole(path, content)

    monkeypatch.setattr(ray_worker, "write_whole", noted)
    write_files(tmp_path, files)
    assert order == [RECIPE, "device.toml", "log.txt", METRICS, CHECKPOINT, BUNDLE, SCORES]
    (tmp_path / LOCK).touch()
    assert read_files(tmp_path) == files


class Remote:
    """A method of an actor that is not far away."""

    def __init__(self, method: Any) -> None:
        self.remote = method


def attempted(unit: Unit, monkeypatch: pytest.MonkeyPatch, does: Any) -> tuple[tuple[str, Any], Post]:
    """What a node answers whose unit does something, and the post."""
    for name in one_process(1):
        monkeypatch.setenv(name, os.environ.get(name, "2"))
    post = Post()
    monkeypatch.setattr(ray_worker, "require", lambda *_: SimpleNamespace(get=lambda value: value))
    monkeypatch.setattr(Unit, "work", does)
    actor = SimpleNamespace(begin=Remote(post.begin), store=Remote(post.store))
    return work(Task.of(unit, Setup()).content, 1, 0, [actor], [None]), post


def test_a_full_disk_is_the_node_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fills(unit: Unit, **_: Any) -> None:
        raise RunError("Cannot write it.") from OSError(errno.ENOSPC, "No space left on device", "x")

    (answer, why), _ = attempted(unit_in(tmp_path), monkeypatch, fills)
    assert answer == "refused"
    assert why.endswith("has a full disk (x)")


def test_what_fails_is_told_in_terms_of_the_command_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = unit_in(tmp_path)

    def fails(unit: Unit, **_: Any) -> None:
        raise RunError(f"The folder {unit.folder} is odd.")

    answer, post = attempted(unit, monkeypatch, fails)
    assert answer == ("ended", Failure("RunError", f"The folder {unit.folder} is odd."))
    _, files = post.collect()
    assert b"is odd." in files[0]["log.txt"]
