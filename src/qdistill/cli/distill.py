"""`qdistill distill`: a recipe from the command line, and the run that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdistill.cli.distill_options import Asked, parse
from qdistill.cli.output import say, tell
from qdistill.cli.shared import INTERRUPTED, accuracies, accuracy, again
from qdistill.errors import DivergenceError, FailedRunsError
from qdistill.files import BUNDLE, DEVICE, RECIPE, SCORES, TRACE, read_json
from qdistill.folders import new_folder
from qdistill.run_files import SeedScores, read_profile

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.record import Record


def run(arguments: list[str]) -> int:
    """Parse, distil, print."""
    asked = parse(arguments)
    asked.make_ready()
    if asked.folder is not None:
        return _distill(asked, asked.folder)
    with new_folder(asked.recipe.dataset) as folder:
        return _distill(asked, folder)


def _distill(asked: Asked, folder: Path) -> int:
    if asked.profile:
        say("Some iterations are compiled and traced first, which takes about half a minute.")
    try:
        bundles = _run_here(asked, folder) if asked.is_here else _run_elsewhere(asked, folder)
    except (DivergenceError, FailedRunsError):
        _draw(folder, asked.data_dir)
        raise
    except KeyboardInterrupt:
        if not (folder / RECIPE).exists():
            say("Stopped before anything was written.")
            return INTERRUPTED
        pictures = _draw(folder, asked.data_dir)
        if pictures:
            say(f"The best examples so far are in {folder}, drawn in {_listed(pictures)}.")
        say(f"To go on: {again('distill', '--resume', folder, *asked.words())}")
        return INTERRUPTED
    _print_result(asked, folder, bundles)
    return 0


def _run_here(asked: Asked, folder: Path) -> list[DistilledDataset]:
    from qdistill.experiments import run as experiment
    from qdistill.experiments.progress import ProgressDisplay

    with ProgressDisplay() as display:
        options: dict[str, Any] = {
            "data_dir": asked.data_dir,
            "resume": asked.resume,
            "iterations": asked.iterations,
            "observer": display,
            "memory_budget": asked.memory_budget,
            "cores": asked.cores,
        }
        if asked.seeds is None:
            return [experiment.run(asked.recipe, folder, with_profile=asked.profile, **options)]
        return experiment.run_seeds(asked.recipe, asked.seeds, folder, **options)


def _run_elsewhere(asked: Asked, folder: Path) -> list[DistilledDataset]:
    from qdistill.experiments.run_on import run_on

    return run_on(asked.engine(), asked.recipe, folder, seeds=asked.seeds, resume=asked.resume)


def _print_result(asked: Asked, folder: Path, bundles: Sequence[DistilledDataset]) -> None:
    from qdistill.cli.noisy import say_what_is_left_out
    from qdistill.quantum import DeviceModel

    pictures = _draw(folder, asked.data_dir)
    if asked.profile:
        _print_profile(folder)
    bundle = bundles[0]
    tell(f"Distilled {bundle.dataset} into {len(bundle.data.inputs)} examples.")
    if asked.seeds is None:
        rows = [*accuracies(bundle.record), ("bundle", str(folder / BUNDLE))]
    else:
        rows = _accuracies_of_seeds(asked.seeds, [bundle.record for bundle in bundles], folder)
    shown = pictures if asked.seeds is None else [pictures[0], folder / "seed-*" / "*.png"]
    for name, value in [*rows, ("pictures", _listed(shown))]:
        tell(f"  {name:<20} {value}")
    first = folder if asked.seeds is None else folder / f"seed-{asked.seeds[0]}"
    if (first / DEVICE).exists():
        say_what_is_left_out(DeviceModel.from_toml(first / DEVICE), bundle)
    tell(f"Next: {again('evaluate', first)}")


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def _draw(folder: Path, data_dir: Path | None) -> list[Path]:
    from qdistill.report.figures import draw_run

    return draw_run(folder, data_dir)


def _accuracies_of_seeds(seeds: Sequence[int], records: Sequence[Record], folder: Path) -> list[tuple[str, str]]:
    scores = read_json(folder / SCORES, SeedScores)
    rows = [(f"seed {seed}", accuracy(r.test_accuracy, r.n_test)) for seed, r in zip(seeds, records, strict=True)]
    if len(rows) > 1:
        low, high = scores["interval"] or (None, None)
        spread = "" if low is None else f" (95 % interval {low:.2%} to {high:.2%})"
        rows.append(("mean of test", f"{scores['mean']:.2%}{spread}"))
    return [*rows, ("bundles", str(folder / "seed-*" / BUNDLE))]


def _print_profile(folder: Path) -> None:
    """A screen of where the time of an iteration goes."""
    measured = read_profile(folder)
    total = sum(row["ms"] for row in measured["rows"])
    tell(f"One iteration takes {measured['iteration_ms']:.1f} ms ({measured['traced_ms']:.1f} ms while it is traced).")
    tell(f"  {'part':<27} {'phase':<29} {'ms':>8} {'share':>7} {'operations':>11}")
    for row in measured["rows"]:
        share = f"{row['ms'] / total:.1%}"
        tell(f"  {row['part']:<27} {row['phase']:<29} {row['ms']:8.2f} {share:>7} {row['operations']:11,.0f}")
    tell(f"The trace is {folder / TRACE}: open it in https://ui.perfetto.dev.")
