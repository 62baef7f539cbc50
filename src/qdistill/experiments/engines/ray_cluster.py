"""On a Ray cluster: a task a unit, begun again on another worker or node when its own dies.

Nodes need no common disk. The dataset is read here and travels once to each node, and the files of a run come back at
each look, so that the run folders are here as if it had run here. A task that is begun again goes on from them.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qdistill.backends.extras import require
from qdistill.errors import QDistillError, RunError
from qdistill.experiments.engines import ray_gate
from qdistill.experiments.engines.engine import Change, Choice
from qdistill.experiments.engines.options import Each
from qdistill.experiments.engines.ray_post import Post
from qdistill.experiments.engines.ray_worker import read_files, write_files
from qdistill.experiments.engines.unit import Failure, Setup, Task, Unit, data_of
from qdistill.folders import holding

RETRIES = 20
"""How often a unit is begun again whose worker or node has died."""

_PATIENCE = 5.0
"""Seconds in which a cluster must answer."""


class RayCluster:
    """`Workers` that are tasks of Ray's.

    Args:
        setup: what all units have in common.
        each: what each task takes.
        address: of the cluster; the one of this machine, or of this Ray job, by default.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no cluster at the address.
    """

    def __init__(self, setup: Setup, each: Each, address: str = "") -> None:
        self._ray = ray = require("ray", "ray")
        self._connected = not ray.is_initialized()
        if self._connected:
            _connect(ray, address)
        self._setup, self._each = setup, each
        self.place = _in_words(ray.nodes(), each)
        self.choices: Mapping[Choice, str] = {
            "stop": "begin no more, and stop those that run, to be gone on with from their last look",
            "wait": "begin no more, and wait for those that run",
        }
        self._units: list[Unit] = []
        self._tasks: dict[Any, int] = {}
        self._begun: set[int] = set()
        self._data: dict[object, Any] = {}
        self._changes: list[Change] = []
        self._refused: dict[str, str] = {}
        self._held: dict[int, contextlib.ExitStack] = {}
        ray.cloudpickle.register_pickle_by_value(ray_gate)
        own = ray.get_runtime_context().get_node_id()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(own, soft=False)
        self._post = ray.remote(Post).options(num_cpus=0, scheduling_strategy=here).remote()
        self._expected = ray_gate.versions()

    @property
    def at_once(self) -> int:
        """See `Workers`: by the nodes that there are now."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        takes = {"CPU": self._each.cores, "GPU": self._each.gpus}
        room = sum(min(int(has.get(name, 0) / n) for name, n in takes.items() if n) for has in nodes)
        return max(1, room)  # one that waits for a node with enough of it

    def submit(self, units: Sequence[Unit]) -> None:
        """See `Workers`."""
        first = len(self._units)
        self._units += units
        for number, unit in enumerate(units, first):
            try:
                with contextlib.ExitStack() as held:
                    held.enter_context(holding(unit.folder))
                    parcel = self._splits(unit)
                    self._ray.get(self._post.give.remote(number, read_files(unit.folder)))
                    self._held[number] = held.pop_all()
                self._start(number, parcel)
            except QDistillError as error:
                self._changes.append(Change(unit, "failed", Failure.of(error)))

    def look(self) -> Iterator[Change]:
        """See `Workers`."""
        yield from self._changes
        self._changes = []
        ended, _ = (
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0) if self._tasks else ([], 0)
        )
        # After a task has ended all its files are there.
        begun, files = self._ray.get(self._post.collect.remote())
        for number, (attempt, node) in begun.items():
            if number not in self._held:
                continue  # given up since it had begun
            self._begun.add(number)
            again = f"begun again on {node}, from its last look" if attempt > 1 else ""
            yield Change(self._units[number], "running", remark=again)
        for number, changed in files.items():
            if number in self._held:
                write_files(self._units[number].folder, changed)
        for reference in ended:
            yield from self._ended(self._tasks.pop(reference), reference)

    def hold_back(self) -> Sequence[Unit]:
        """See `Workers`."""
        held = {reference: number for reference, number in self._tasks.items() if number not in self._begun}
        for reference, number in held.items():
            self._give_up(reference, number)
        return [self._units[number] for number in held.values()]

    def stop(self) -> None:
        """See `Workers`: their last looks are here."""
        for reference, number in list(self._tasks.items()):
            self._give_up(reference, number)

    def close(self) -> None:
        """See `Workers`."""
        self.stop()
        self._ray.kill(self._post)
        if self._connected:
            self._ray.shutdown()

    def _give_up(self, reference: Any, number: int) -> None:
        del self._tasks[reference]
        self._ray.cancel(reference, force=True)
        self._let_go(number)

    def _let_go(self, number: int) -> None:
        held = self._held.pop(number, None)
        if held is not None:
            held.close()

    def _splits(self, unit: Unit) -> Any:
        """A reference to a unit's dataset, which is read once and kept by Ray."""
        data = data_of(unit.recipe)
        if data not in self._data:
            self._data[data] = self._ray.put(unit.recipe.splits(self._setup.data_dir))
        return self._data[data]

    def _start(self, number: int, parcel: Any) -> None:
        """Put a task into Ray's queue, to be run on any node but those that were refused."""
        options: dict[str, Any] = {
            "num_cpus": self._each.cores,
            "num_gpus": self._each.gpus,
            "max_retries": RETRIES,
            "name": self._units[number].name,
        }
        if self._each.memory is not None:
            options["memory"] = int(self._each.memory * 2**30)
        if self._refused:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._refused)})"}
        packed = Task.of(self._units[number], self._setup).content
        task = self._ray.remote(ray_gate.enter).options(**options)
        reference = task.remote(self._expected, packed, self._each.cores, number, [self._post], [parcel])
        self._tasks[reference] = number

    def _ended(self, number: int, reference: Any) -> Iterator[Change]:
        unit = self._units[number]
        try:
            outcome, said, node = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._let_go(number)
            what = f"its worker or node died {RETRIES + 1} times, or failed: {_last_line(error)}"
            yield Change(unit, "failed", Failure("RunError", what))
            return
        if outcome == "refused":
            yield self._refuse(number, node, said)
            return
        self._post.forget.remote(number)
        self._let_go(number)
        yield Change(unit, "done" if said is None else "failed", said)

    def _refuse(self, number: int, node: str, why: str) -> Change:
        """Run nothing more on a node; what was to run there goes to another, if there is one."""
        unit = self._units[number]
        remark = "" if node in self._refused else f"{why}: nothing is run there."
        self._refused[node] = why
        others = {one["NodeID"] for one in self._ray.nodes() if one["Alive"]} - set(self._refused)
        if not others:
            self._let_go(number)
            return Change(
                unit, "failed", Failure("RunError", f"No node is left to run on: {'; '.join(self._refused.values())}.")
            )
        self._begun.discard(number)
        self._start(number, self._data[data_of(unit.recipe)])
        return Change(unit, "queued", remark=remark)


def check_cluster(address: str) -> None:
    """Make sure that there is a cluster.

    Raises:
        MissingExtraError, RunError: see `RayCluster`.
    """
    ray = require("ray", "ray")
    if not ray.is_initialized():
        _connect(ray, address)
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Reach a cluster.

    Raises:
        RunError: none answers, or it is of another version of Ray or Python.
    """
    where = f"at {address}" if address else "on this machine"
    refusal = (
        f"There is no Ray cluster {where} ({{}}). Start one with `ray start --head`, or name another by "
        "--on ray:ADDRESS."
    )
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in address:
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        except OSError as error:
            raise RunError(refusal.format(error.strerror or error)) from error
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # ConnectionError, ValueError, RuntimeError or one of Ray's own, by what is wrong
        raise RunError(refusal.format(_last_line(error))) from error


def _in_words(nodes: Sequence[Mapping[str, Any]], each: Each) -> str:
    """The cluster, and what it lacks so far: nodes may join later."""
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    text = f"a Ray cluster of {len(cores)} nodes with {sum(cores)} cores"
    if max(cores, default=0) < each.cores:
        text += f", none of which has the {each.cores} cores that a run takes; they wait for one that has"
    return text


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
