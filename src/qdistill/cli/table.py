"""`qdistill table NAME`: a table of results from its committed recipes, run and gathered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from qdistill.cli.output import say, tell
from qdistill.cli.places import On, engine, is_here
from qdistill.cli.shared import INTERRUPTED, Cache, Cores, DataDir, again, call, use_compilation_cache
from qdistill.errors import ArgumentError, DivergenceError, FailedRunsError
from qdistill.experiments.engines.options import EACH, SLURM, Each, SlurmOptions
from qdistill.files import read_text
from qdistill.folders import holding

if TYPE_CHECKING:
    from qdistill.evaluate.protocol import Evaluation

Out = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: runs/TABLE)")]
Rows = Annotated[tuple[str, ...] | None, arg(metavar="ROW ...", help_behavior_hint="(default: all)")]
Flag = Annotated[bool, FlagCreatePairsOff]


def run(arguments: list[str]) -> int:
    """Parse and call; where Ctrl-C stopped it, the same command goes on."""
    return resumable("table", table, arguments)


def resumable(command: str, function: Any, arguments: list[str]) -> int:
    """Parse and call, and after Ctrl-C say how to go on."""
    code = call(function, arguments)
    if code == INTERRUPTED:
        say(f"Stopped. To go on: {again(command, *arguments)}")
    return code


def table(
    name: Annotated[Literal["table1-mnist", "table1-cifar10", "benchmarks"], Positional],
    *,
    out: Out = None,
    rows: Rows = None,
    from_zoo: Flag = False,
    list_rows: Annotated[bool, FlagCreatePairsOff, arg(name="list")] = False,
    cores: Cores = None,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
    on: On = "here",
    each: Each = EACH,
    slurm: SlurmOptions = SLURM,
) -> int:
    """Make a table from its recipes, with controls, references and intervals; go on where it was stopped.

    Args:
        name: table1-mnist and table1-cifar10 are the paper's, with what it leaves out; benchmarks is of the field's
            classifiers on the datasets that they are compared on.
        out: the table's folder, with a folder for each row and seed in it.
        rows: run these rows only; the table is made of all that have a result.
        from_zoo: replay the zoo's bundles instead of distilling.
        list_rows: name the rows, with their seeds and iterations, and run nothing.
        cores: cores for the seeds of a row, which have one each, or share them.
        data_dir: where the datasets' files lie.
        compilation_cache: keep compiled programs in the user's cache folder.
        on: see above.
        each: what each run takes; not here.
        slurm: what Slurm is told; by Slurm only.
    """
    if cores is not None and not is_here(on):
        raise ArgumentError(f"Argument `cores` must be left out with --on {on}: each run has --each.cores.")
    if (from_zoo or list_rows) and not (is_here(on) and (each, slurm, cores) == (EACH, SLURM, None)):
        given = "from_zoo" if from_zoo else "list"
        raise ArgumentError(f"Argument `on` must be left out with `{given}`, and `cores`, `each` and `slurm` too.")
    if rows is not None and (from_zoo or list_rows):
        raise ArgumentError(f"Argument `rows` must not be given together with `{'from_zoo' if from_zoo else 'list'}`.")
    if compilation_cache:
        use_compilation_cache()
    if not list_rows and is_here(on):
        from qdistill.experiments.devices import make_cores_devices

        make_cores_devices(cores)
    from qdistill.experiments import tables
    from qdistill.experiments.progress import ProgressDisplay

    asked = tables.read_table(name)
    if list_rows:
        _list_rows(asked)
        return 0
    command = f"qdistill table {name}" + (" --from-zoo" if from_zoo else "")
    folder = out or Path("runs", f"{name}-zoo" if from_zoo else name)
    if from_zoo:
        with holding(folder):
            _print_table(tables.replay_zoo(asked, folder, command, data_dir, told=_say_replayed), folder)
        return 0
    interrupted = False
    failed: DivergenceError | FailedRunsError | None = None
    try:
        with ProgressDisplay() as display:
            options: Any = {"data_dir": data_dir, "compilation_cache": compilation_cache, "cores": cores}
            place = engine(on, each, slurm, observer=display, **options)
            tables.run_table(asked, folder, place, rows=rows)
    except KeyboardInterrupt:
        interrupted = True
    except (DivergenceError, FailedRunsError) as error:
        # After the table of all other runs.
        failed = error
    # Other machines may run other rows of it, and gather what there is when they end.
    with holding(folder, patience=60.0):
        _print_table(tables.gather(asked, folder, command), folder)
    if failed is not None:
        raise failed
    return INTERRUPTED if interrupted else 0


def _list_rows(asked: Any) -> None:
    for group, title in asked.groups.items():
        named = [row for row in asked.rows if row.group == group]
        if named:
            tell(f"{title}:")
        for row in named:
            many = f"{row.recipe.outer.iterations:,} iterations" if row.full is None else f"{row.full.epochs:g} epochs"
            tell(f"  {row.name:<24} {row.title:<52} {len(row.seeds)} seeds, {many}")


def _print_table(content: dict[str, Any], folder: Path) -> None:
    from qdistill.report.table import write_table

    if content["rows"]:
        paths = write_table(folder)
        tell(*read_text(folder / "table.md").splitlines())
        tell("Written: " + ", ".join(str(path) for path in paths))


def _say_replayed(name: str, result: Evaluation) -> None:
    missed = ", which is more than rounding" if result.reproduced is False else ""
    say(f"{name}: {result.test_accuracy:.2%}, recorded {result.recorded_test_accuracy:.2%}{missed}")
