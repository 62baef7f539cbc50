"""The engine that was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from qdistill.errors import ArgumentError
from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.drive import Driven
from qdistill.experiments.engines.engine import Engine, Workers
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.options import EACH, SLURM, Each, Place, SlurmOptions
from qdistill.experiments.engines.processes import Processes, check_count
from qdistill.experiments.engines.unit import Setup
from qdistill.experiments.loop import Observer


def engine_for(
    place: Place,
    setup: Setup,
    *,
    each: Each | None = None,
    slurm: SlurmOptions | None = None,
    observer: Observer | None = None,
    told: Callable[[str], None] = lambda line: None,
    board: Board | None = None,
) -> Engine:
    """The engine of a place, after it was found that it can be had: so a run that it cannot take leaves nothing behind.

    Args:
        place: where runs go.
        setup: what all of them have in common; its `cores` are for runs here.
        each: what each of them takes; not `here`.
        slurm: what Slurm is told; by Slurm only.
        observer: is told how each recipe goes, here.
        told: is given a line as each training on all inputs begins, here.
        board: shows how all runs go, elsewhere, or those of a search.

    Raises:
        ArgumentError: an option has no effect there, or there is not so much to be had.
        MissingExtraError: what reaches the place is not installed.
        RunError: no cluster answers, or there is no Slurm.
    """
    _check_used(place, each, slurm)
    if place.kind == "here":
        return Here(setup, observer=observer, told=told, board=board)
    if setup.cores is not None:
        raise ArgumentError(
            f"Argument `setup.cores` must be left out with --on {place.kind}, where each run has `each.cores`, but was "
            f"{setup.cores}."
        )
    each = each or EACH
    return Driven(_workers(place, each, slurm or SLURM), dataclasses.replace(setup, cores=each.cores), board)


def _workers(place: Place, each: Each, slurm: SlurmOptions) -> Callable[[Setup], Workers]:
    """What begins workers at a place, after it was found that they can be had there."""
    if place.kind == "processes":
        count = int(place.detail)
        check_count(count, each.cores)
        return partial(Processes, count=count)
    # Both packages take a second to import.
    if place.kind == "slurm":
        from qdistill.experiments.engines.slurm import Slurm, check_slurm

        cluster = place.detail or "slurm"
        check_slurm(each, slurm, cluster)
        return partial(Slurm, each=each, options=slurm, cluster=cluster)
    from qdistill.experiments.engines.ray_cluster import RayCluster, check_cluster

    check_cluster(place.detail)
    return partial(RayCluster, each=each, address=place.detail)


def _check_used(place: Place, each: Each | None, slurm: SlurmOptions | None) -> None:
    """Make sure that nothing was asked for that would have no effect."""
    if each not in (None, EACH) and place.kind == "here":
        raise ArgumentError("Argument `each` must be left out with --on here: a run here takes what there is.")
    if place.kind == "processes" and each is not None and (each.gpus or each.memory):
        raise ArgumentError("Argument `each` must have nothing but `cores` with --on processes:N.")
    local = (place.kind, place.detail) == ("slurm", "local")
    if local and slurm is not None and dataclasses.replace(SLURM, time=slurm.time) != slurm:
        raise ArgumentError("Argument `slurm` must have nothing but `time` with --on slurm:local, which asks no Slurm.")
    if slurm not in (None, SLURM) and place.kind != "slurm":
        raise ArgumentError(f"Argument `slurm` must be left out with --on {place.kind}, which does not ask Slurm.")
