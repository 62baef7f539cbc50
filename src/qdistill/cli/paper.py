"""`qdistill paper table1`: the paper's table, which is also `qdistill table table1-DATASET`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from qdistill.cli.shared import again
from qdistill.cli.table import TableOptions, make_table


@dataclass(frozen=True, kw_only=True)
class _Options(TableOptions):
    """Regenerate a table of the paper: the same as `qdistill table table1-DATASET`.

    Args:
        table: which one.
        dataset: mnist or cifar10.
    """

    table: Annotated[Literal["table1"], Positional]
    dataset: Literal["mnist", "cifar10"] = "mnist"


def run(arguments: list[str]) -> int:
    """Parse and call."""
    given = tyro.cli(_Options, args=arguments, prog="qdistill paper")
    return make_table(f"table1-{given.dataset}", given, again("paper", *arguments))
