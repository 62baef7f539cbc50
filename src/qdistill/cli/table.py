"""`qdistill table NAME`: a table of results from its committed recipes, run and gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from qdistill.cli.output import say, tell
from qdistill.cli.places import Runs
from qdistill.cli.shared import INTERRUPTED, again
from qdistill.errors import ArgumentError, DivergenceError, FailedRunsError
from qdistill.folders import holding

if TYPE_CHECKING:
    from qdistill.evaluate.protocol import Evaluation
    from qdistill.experiments.tables.table import Table


@dataclass(frozen=True, kw_only=True)
class TableOptions(Runs):
    """How a table is made.

    Args:
        out: the table's folder, with a folder for each row and seed in it.
        rows: run these rows only; the table is made of all that have a result.
        from_zoo: replay the zoo's bundles instead of distilling.
        list_rows: name the rows, with their seeds and iterations, and run nothing.
    """

    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: runs/TABLE)")] = None
    rows: Annotated[tuple[str, ...] | None, arg(metavar="ROW ...", help_behavior_hint="(default: all)")] = None
    from_zoo: Annotated[bool, FlagCreatePairsOff] = False
    list_rows: Annotated[bool, FlagCreatePairsOff, arg(name="list")] = False

    def check(self) -> None:
        """Refuse what has no effect where nothing is run."""
        if not (self.from_zoo or self.list_rows):
            return
        instead = "from_zoo" if self.from_zoo else "list"
        if not self.is_usual:
            raise ArgumentError(
                f"Argument `on` must be left out with `{instead}`, and `cores`, `each` and `slurm` too."
            )
        if self.rows is not None:
            raise ArgumentError(f"Argument `rows` must not be given together with `{instead}`.")


@dataclass(frozen=True, kw_only=True)
class _Options(TableOptions):
    """Make a table from its recipes, with controls, references and intervals; go on where it was stopped.

    Args:
        name: table1-mnist and table1-cifar10 are the paper's, with what it leaves out; objectives compares what
            examples are optimised for; benchmarks is of the field's classifiers on the datasets that they are
            compared on.
    """

    name: Annotated[Literal["table1-mnist", "table1-cifar10", "benchmarks", "objectives"], Positional]


def run(arguments: list[str]) -> int:
    """Parse and call."""
    given = tyro.cli(_Options, args=arguments, prog="qdistill table")
    return make_table(given.name, given, again("table", *arguments))


def make_table(name: str, given: TableOptions, to_go_on: str) -> int:
    """Make a table.

    Args:
        name: which one.
        given: how.
        to_go_on: the command that goes on after Ctrl-C.

    Returns:
        The exit code.
    """
    given.check()
    if given.list_rows:
        from qdistill.experiments.tables.read import read_table

        _list_rows(read_table(name))
        return 0
    given.make_ready()
    from qdistill.experiments.tables.read import read_table

    asked = read_table(name)
    if given.from_zoo:
        _replay(asked, given)
        return 0
    return _run(asked, given, to_go_on)


def _replay(asked: Table, given: TableOptions) -> None:
    from qdistill.experiments.tables.replay import replay_zoo

    folder = given.out or Path("runs", f"{asked.name}-zoo")
    command = f"qdistill table {asked.name} --from-zoo"
    with holding(folder):
        _print_table(replay_zoo(asked, folder, command, given.data_dir, told=_say_replayed), folder)


def _run(asked: Table, given: TableOptions, to_go_on: str) -> int:
    from qdistill.experiments.progress import ProgressDisplay
    from qdistill.experiments.tables.gather import gather
    from qdistill.experiments.tables.run import run_table

    folder = given.out or Path("runs", asked.name)
    interrupted = False
    failed: DivergenceError | FailedRunsError | None = None
    try:
        with ProgressDisplay() as display:
            run_table(asked, folder, given.engine(display), rows=given.rows)
    except KeyboardInterrupt:
        interrupted = True
    except (DivergenceError, FailedRunsError) as error:
        # After the table of all other runs.
        failed = error
    # Other machines may run other rows of it, and gather what there is when they end.
    with holding(folder, patience=60.0):
        _print_table(gather(asked, folder, f"qdistill table {asked.name}"), folder)
    if failed is not None:
        raise failed
    if interrupted:
        say(f"Stopped. To go on: {to_go_on}")
        return INTERRUPTED
    return 0


def _list_rows(asked: Table) -> None:
    for group, title in asked.groups.items():
        named = [row for row in asked.rows if row.group == group]
        if named:
            tell(f"{title}:")
        for row in named:
            many = f"{row.recipe.outer.iterations:,} iterations" if row.full is None else f"{row.full.epochs:g} epochs"
            tell(f"  {row.name:<24} {row.title:<52} {len(row.seeds)} seeds, {many}")


def _print_table(content: dict[str, Any], folder: Path) -> None:
    """Two lines a row; what they are short of is in the files."""
    from qdistill.report.table import write_table

    if not content["rows"]:
        return
    paths = write_table(folder)
    for group, title in content["groups"].items():
        named = [row for row in content["rows"] if row["group"] == group]
        if named:
            tell(f"{title}:")
        for row in named:
            tell(f"  {row['name']}: {row['title']}", f"    {_scores(row)}")
    tell(*(difference["text"] for difference in content["differences"]), *filter(None, [content["note"]]))
    tell("Written: " + ", ".join(str(path) for path in paths))


def _scores(row: Mapping[str, Any]) -> str:
    """What a row gave, in words."""
    parts = [f"{row['mean']:.2%}", f"{len(row['seeds'])} of {row['asked']} seed{'s' * (row['asked'] != 1)}"]
    if row["interval"] is not None:
        low, high = row["interval"]
        parts[0] += f" ({100 * low:.2f} to {100 * high:.2f})"
    if row.get("recorded") is not None:
        parts.append(f"recorded {row['recorded']:.2%}")
    if row["published"] is not None:
        parts.append(f"published {row['published']:.1%}")
    return ", ".join(parts)


def _say_replayed(name: str, result: Evaluation) -> None:
    missed = ", which is more than rounding" if result.reproduced is False else ""
    say(f"{name}: {result.test_accuracy:.2%}, recorded {result.recorded_test_accuracy:.2%}{missed}")
