"""Recipe -> run folder. There is no other way to run one.

A run folder holds `recipe.json`, `provenance.json`, `metrics.jsonl` (one line for each look at the validation
part), `checkpoints/latest.safetensors`, and, when the run has ended, `bundle.safetensors` and `scores.json`. Seeds that
run side by side have a folder each, `seed-0`, `seed-1`, ..., in one that holds `seeds.json` and, in the end, the
`scores.json` of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.experiments.course import check_data
from qdistill.experiments.devices import check_cores
from qdistill.experiments.folder import begin, check_begun, check_free, is_begun
from qdistill.experiments.follow import How, follow, with_iterations
from qdistill.experiments.loop import Observer, Teller
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.seeds import SeedsFolder
from qdistill.files import RECIPE, SCORES, write_json
from qdistill.folders import holding


def run(
    recipe: Recipe,
    folder: Path | str,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    iterations: int | None = None,
    observer: Observer | None = None,
    memory_budget: int | None = None,
    cores: int | None = None,
    with_profile: bool = False,
) -> DistilledDataset:
    """Follow a recipe.

    Args:
        recipe: what to do.
        folder: where to; must not exist yet, or be empty, unless the run is resumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.
        resume: go on from the folder's last checkpoint. The result is that of an uninterrupted run, to the bit
            on the same machine with as many cores.
        iterations: with `resume`: go on to so many instead of the recipe's. From the checkpoint on the learning rate is
            that of a run of so many at the same iteration: a cosine schedule that had come to its end rises again to
            where the longer one is. The folder's recipe is changed, and its provenance and the bundle say from which
            iteration on.
        observer: is told how it goes.
        memory_budget: bytes for the weights that a long unroll keeps for its meta-gradient (see `distill.memory`);
            by default a share of the machine's memory.
        cores: how many share an iteration: that many, if JAX was not used in this process before. On accelerators, and
            by default, those of JAX's devices that make it quicker, see `distill.sharing`; a processor is one device to
            JAX unless ``jax.config.update("jax_num_cpu_devices", n)`` says otherwise before JAX is first used. Results
            on another number of cores are equal to rounding.
        with_profile: first see where the time of an iteration goes (see `experiments.profile`).

    Returns:
        The bundle, as it was saved in the folder.

    Raises:
        RunError: the folder exists, is being written to by another process, is of another recipe, data or device, is
            damaged, or cannot be written.
        ArgumentError: `iterations` are fewer than are done, or were given without `resume`; or the network cannot be
            built for the dataset's inputs and classes.
        BundleError: the bundle cannot be written; the checkpoint is there to resume from.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: too many iterations in a row were not finite; the best bundle so far is in the folder.
        KeyboardInterrupt: passed on after the best bundle so far was saved.
    """
    folder = Path(folder)
    _check_iterations(iterations, resume)
    check: Callable[[], None] = partial(check_begun, folder, recipe) if resume else partial(check_free, folder)
    check()
    check_cores(cores)
    # Before the folder is made, so that a run without data or network leaves nothing behind.
    recipe.check_network()
    splits = recipe.splits(data_dir)
    with holding(folder) as locks:
        if resume:
            check()
        else:
            begin(folder, recipe)
        how = How(splits, locks, observer or Teller(), iterations, memory_budget, cores, with_profile)
        (bundle,) = follow([recipe], [folder], how)
    return bundle


def run_seeds(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path | str,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    iterations: int | None = None,
    observer: Observer | None = None,
    memory_budget: int | None = None,
    cores: int | None = None,
) -> list[DistilledDataset]:
    """Follow a recipe for several seeds side by side, in one program (see `distill.seeds`).

    Args:
        recipe: what to do; its own seed is not used.
        seeds: in place of the recipe's; each once.
        folder: where to; each seed has a run folder of its own in it, as if it had run alone.
        data_dir: see `run`.
        resume: go on from the last checkpoints.
        iterations: see `run`.
        observer: is told how all of them go.
        memory_budget: bytes, shared by the seeds; see `run`.
        cores: how many all seeds have together; see `run`. As many seeds are at work at once as there are cores. Where
            cores are more than seeds, several work on one seed if that is estimated to be quicker; others idle.

    Returns:
        The bundles, in the order of the seeds, with the numbers of runs alone to float tolerance.

    Raises:
        ArgumentError: no seeds, or one twice.
        DivergenceError: some seeds stopped; those that did not have ended as usual.
        RunError, BundleError, DataError, KeyboardInterrupt: see `run`.
    """
    together = SeedsFolder(recipe, seeds, Path(folder), resume)
    _check_iterations(iterations, resume)
    check_cores(cores)
    together.check()
    recipe.check_network()
    splits = recipe.splits(data_dir)
    with together.held() as whole, holding(*together.folders) as locks:
        for each, own in zip(together.recipes, together.folders, strict=True):
            # The process may have been killed before it had begun all of them.
            _begin_or_check(own, each)
        how = How(splits, [*whole, *locks], observer or Teller(), iterations, memory_budget, cores)
        if iterations is not None:
            write_json(together.folder / RECIPE, with_iterations(recipe, iterations).to_json())
            (together.folder / SCORES).unlink(missing_ok=True)
        bundles = follow(together.recipes, together.folders, how)
        together.write_scores(bundles)
    return bundles


def run_missing(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    *,
    data_dir: Path | None = None,
    splits: Splits | None = None,
    observer: Observer | None = None,
    cores: int | None = None,
    patience: float = 0.0,
    until: int | None = None,
) -> None:
    """Follow recipes that differ in their seed only, side by side, each to the end of its folder's run.

    Args:
        recipes: what to do.
        folders: where to, one a recipe: begun where there is no run yet, gone on with where there is one of the same
            recipe, and left alone where it has ended.
        data_dir: see `run`.
        splits: the dataset in its parts, where they are at hand already.
        observer: is told how all of them go.
        cores: how many they have together; see `run`.
        patience: seconds to wait for another process that holds a folder.
        until: the iteration to pause at, one of a look. What is there by then is saved, and the test part is not read:
            also where it is the last one.

    Raises:
        RunError, BundleError, DataError, DivergenceError, KeyboardInterrupt: see `run`.
    """
    check_cores(cores)
    for recipe, folder in zip(recipes, folders, strict=True):
        if is_begun(folder):
            check_begun(folder, recipe)
    missing = [(r, f) for r, f in zip(recipes, folders, strict=True) if not (f / SCORES).exists()]
    if not missing:
        return
    splits = missing[0][0].splits(data_dir) if splits is None else splits
    for folder in folders:
        if (folder / SCORES).exists():
            check_data(folder, splits)
    recipes, folders = [recipe for recipe, _ in missing], [folder for _, folder in missing]
    with holding(*folders, patience=patience) as locks:
        for recipe, folder in zip(recipes, folders, strict=True):
            _begin_or_check(folder, recipe)
        follow(recipes, folders, How(splits, locks, observer or Teller(), cores=cores, until=until))


def _begin_or_check(folder: Path, recipe: Recipe) -> None:
    if is_begun(folder):
        check_begun(folder, recipe)
    else:
        begin(folder, recipe)


def _check_iterations(iterations: int | None, resume: bool) -> None:
    if iterations is not None and not resume:
        raise ArgumentError("Argument `iterations` must be left out without `resume`: a new run has its recipe's.")
