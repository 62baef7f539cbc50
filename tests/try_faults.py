"""What kills workers, nodes and commands, many times over, and whether a bundle differs afterwards.

    python tests/try_faults.py [FAULT ...] [--times N]

Each fault is tried on N short runs of the 8x8 digits, ten by default; every one of them is hit once, or the command
that runs them N times. Then every run must have ended, and its bundle must be, to the bit, that of a run that nothing
disturbed. A line says for each fault how many were; the exit code is how many were not.
"""

from __future__ import annotations

import os

# Of all processes alike, before JAX is imported: results repeat to the bit on as many cores.
os.environ.update({"NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"})
os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")

import argparse
import dataclasses
import io
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from experiments.samples import recipe_of_digits
from rich.console import Console
from safetensors.numpy import load_file

from qdistill.errors import FailedRunsError, QDistillError
from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.choose import engine_for
from qdistill.experiments.engines.drive import Driven
from qdistill.experiments.engines.engine import Change
from qdistill.experiments.engines.options import Each, Place
from qdistill.experiments.engines.processes import Processes
from qdistill.experiments.engines.ray_cluster import RayCluster
from qdistill.experiments.engines.unit import Setup, Unit
from qdistill.experiments.run import run
from qdistill.files import BUNDLE, METRICS

OF_DIGITS = recipe_of_digits(iterations=100, validate_every=10)
SMALL: dict[str, Any] = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


def units(folder: Path, n: int) -> list[Unit]:
    return [Unit(dataclasses.replace(OF_DIGITS, seed=s), folder / f"seed-{s}", f"seed-{s}") for s in range(n)]


def looks(unit: Unit) -> int:
    path = unit.folder / METRICS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def silent() -> Board:
    return Board(Console(file=io.StringIO()))


class KilledProcesses(Processes):
    """Each unit's process is killed once, as soon as it has a checkpoint."""

    hit: frozenset[Unit] = frozenset()

    def look(self) -> Iterator[Change]:
        for unit, process in self._running.items():
            if unit not in self.hit and looks(unit):
                process.kill()
                self.hit |= {unit}
        return super().look()


def process_workers(folder: Path, n: int) -> int:
    made: list[KilledProcesses] = []

    def workers(setup: Setup) -> KilledProcesses:
        made.append(KilledProcesses(setup, 2))
        return made[0]

    Driven(workers, Setup(), silent()).run(units(folder, n))
    return len(made[0].hit)


def start(on: str, folder: Path, n: int) -> subprocess.Popen[bytes]:
    call = [sys.executable, __file__, "--drive", on, str(folder), "--times", str(n)]
    return subprocess.Popen(call, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def killed_commands(on: str, folder: Path, n: int) -> int:
    """A command is killed whenever a run has a new look, N times; then one is left alone."""
    kills = 0
    while kills < n:
        before = [looks(unit) for unit in units(folder, n)]
        command = start(on, folder, n)
        while command.poll() is None and [looks(unit) for unit in units(folder, n)] == before:
            time.sleep(0.05)
        if command.poll() is not None:
            break
        command.kill()
        command.wait()
        kills += 1
    until_done(on, folder, n)
    return kills


def until_done(on: str, folder: Path, n: int) -> None:
    """Call again while runs are held by others that have not ended yet."""
    while start(on, folder, n).wait() and not all(unit.has_ended for unit in units(folder, n)):
        time.sleep(1)


def process_commands(folder: Path, n: int) -> int:
    return killed_commands("processes:2", folder, n)


def two_commands(folder: Path, n: int) -> int:
    """Two commands with a process each on the same runs, at the same time."""
    both = [start("processes:1", folder, n) for _ in range(2)]
    for command in both:
        command.wait()
    until_done("processes:1", folder, n)
    return n


class KilledTasks(RayCluster):
    """Each unit's worker, or the node that it is on, is killed once, as soon as a look of it is here."""

    hit: frozenset[Unit] = frozenset()

    def __init__(self, setup: Setup, cluster: Any, node: Any, what: str) -> None:
        super().__init__(setup, Each(), cluster.address)
        self.cluster, self.node, self.what = cluster, node, what

    def look(self) -> Iterator[Change]:
        yield from super().look()
        for unit in self._units:
            worker = worker_of(unit)
            if worker is None or unit in self.hit or not looks(unit) or unit.has_ended:
                continue
            self.hit |= {unit}
            if self.what == "worker":
                os.kill(worker, signal.SIGKILL)
            elif self.what == "node":
                self.cluster.remove_node(self.node, allow_graceful=False)
                self.node = self.cluster.add_node(num_cpus=1, **SMALL)


def worker_of(unit: Unit) -> int | None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{unit.name}".encode() + b"\0"):
                return int(path.parent.name)
        except OSError:
            continue
    return None


def with_cluster(fault: Callable[[Any, Path, int], int]) -> Callable[[Path, int], int]:
    def tried(folder: Path, n: int) -> int:
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
        try:
            return fault(cluster, folder, n)
        finally:
            cluster.shutdown()

    return tried


def ray_tasks(what: str) -> Callable[[Any, Path, int], int]:
    def fault(cluster: Any, folder: Path, n: int) -> int:
        made: list[KilledTasks] = []
        node = cluster.add_node(num_cpus=1, **SMALL)

        def workers(setup: Setup) -> KilledTasks:
            made.append(KilledTasks(setup, cluster, node, what))
            return made[0]

        Driven(workers, Setup(), silent()).run(units(folder, n))
        return len(made[0].hit)

    return fault


def ray_commands(cluster: Any, folder: Path, n: int) -> int:
    cluster.add_node(num_cpus=1, **SMALL)
    return killed_commands(f"ray:{cluster.address}", folder, n)


def late_node(cluster: Any, folder: Path, n: int) -> int:
    """There is no core at all until the runs have been queued."""
    command = start(f"ray:{cluster.address}", folder, n)
    while not any(unit.folder.exists() for unit in units(folder, n)):
        time.sleep(0.1)
    cluster.add_node(num_cpus=1, **SMALL)
    command.wait()
    return n


def full_disk(cluster: Any, folder: Path, n: int) -> int:
    """A node whose folder for temporary files is on a disk of a hundred kilobytes; another joins later."""
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], check=True)
    try:
        cluster.add_node(num_cpus=1, env_vars={"TMPDIR": str(small)}, **SMALL)
        command = start(f"ray:{cluster.address}", folder, n)
        time.sleep(20)
        cluster.add_node(num_cpus=1, **SMALL)
        command.wait()
        until_done(f"ray:{cluster.address}", folder, n)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    return n


FAULTS: dict[str, Callable[[Path, int], int]] = {
    "process-worker": process_workers,
    "process-command": process_commands,
    "two-commands": two_commands,
    "ray-worker": with_cluster(ray_tasks("worker")),
    "ray-node": with_cluster(ray_tasks("node")),
    "ray-command": with_cluster(ray_commands),
    "ray-late-node": with_cluster(late_node),
    "ray-full-disk": with_cluster(full_disk),
}


def differences(folder: Path, undisturbed: Path, n: int) -> list[str]:
    """The runs that did not end, or not as they do alone."""
    bad = []
    for unit, alone in zip(units(folder, n), units(undisturbed, n), strict=True):
        if not unit.has_ended:
            bad.append(f"{unit.name} has not ended")
            continue
        found, expected = (load_file(one.folder / BUNDLE) for one in (unit, alone))
        if found.keys() != expected.keys() or any((found[name] != expected[name]).any() for name in expected):
            bad.append(f"{unit.name} differs")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--drive", nargs=2, metavar=("ON", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        try:
            engine_for(Place.parse(given.drive[0]), Setup()).run(units(Path(given.drive[1]), given.times))
        except QDistillError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="qdistill-faults-") as name:
        undisturbed = Path(name, "undisturbed")
        for unit in units(undisturbed, given.times):
            run(unit.recipe, unit.folder)
        for fault in given.faults or FAULTS:
            folder, begun = Path(name, fault), time.monotonic()
            folder.mkdir()
            try:
                hits = FAULTS[fault](folder, given.times)
            except FailedRunsError as error:
                print(f"{fault}: {error}", file=sys.stderr)
                hits = -1
            bad = differences(folder, undisturbed, given.times)
            wrong += len(bad)
            right = given.times - len(bad)
            text = (
                f"{fault:<16} {hits:>3} hits, {right} of {given.times} bundles equal, {time.monotonic() - begun:.0f} s"
            )
            print("; ".join([text, *bad]), flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
