"""`qdistill paper table1`: the paper's table, which is also `qdistill table table1-DATASET`."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from qdistill.cli.places import On
from qdistill.cli.shared import Cache, DataDir
from qdistill.cli.table import Flag, Out, Rows, resumable
from qdistill.cli.table import table as make
from qdistill.experiments.engines.options import EACH, SLURM, Each, SlurmOptions


def run(arguments: list[str]) -> int:
    """Parse and call; where Ctrl-C stopped it, the same command goes on."""
    return resumable("paper", paper, arguments)


def paper(
    table: Annotated[Literal["table1"], Positional],
    *,
    dataset: Literal["mnist", "cifar10"] = "mnist",
    out: Out = None,
    rows: Rows = None,
    from_zoo: Flag = False,
    list_rows: Annotated[bool, FlagCreatePairsOff, arg(name="list")] = False,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
    on: On = "here",
    each: Each = EACH,
    slurm: SlurmOptions = SLURM,
) -> int:
    """Regenerate a table of the paper: the same as `qdistill table table1-DATASET`.

    Args:
        table: which one.
        dataset: mnist or cifar10.
        out: the table's folder, with a folder for each row and seed in it.
        rows: run these rows only; the table is made of all that have a result.
        from_zoo: replay the zoo's bundles instead of distilling.
        list_rows: name the rows, with their seeds and iterations, and run nothing.
        data_dir: where the dataset's files lie.
        compilation_cache: keep compiled programs in the user's cache folder.
        on: see above.
        each: what each run takes; not here.
        slurm: what Slurm is told; by Slurm only.
    """
    name: Literal["table1-mnist", "table1-cifar10"] = "table1-mnist" if dataset == "mnist" else "table1-cifar10"
    return make(
        name,
        out=out,
        rows=rows,
        from_zoo=from_zoo,
        list_rows=list_rows,
        data_dir=data_dir,
        compilation_cache=compilation_cache,
        on=on,
        each=each,
        slurm=slurm,
    )
