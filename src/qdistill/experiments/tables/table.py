"""What a table is: rows, and the questions that two of them answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qdistill.errors import ArgumentError
from qdistill.evaluate.baselines import FullTraining
from qdistill.experiments.recipe import Recipe


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: of its folder.
        title: what it says.
        group: which rows it belongs with.
        recipe: what is run, but for its seed.
        seeds: 0 to n - 1.
        published: the accuracy that others report, a fraction.
        full: where the network trains on all inputs instead of distilled ones.
        zoo: the bundle that stands for the row without a run.
        file: the recipe for who reads the table, as the text of a file.
    """

    name: str
    title: str
    group: str
    recipe: Recipe
    seeds: tuple[int, ...]
    published: float | None = None
    full: FullTraining | None = None
    zoo: str | None = None
    file: str = ""


@dataclass(frozen=True)
class Difference:
    """A question that two rows answer: what the first has and the second has not is worth."""

    minuend: str
    subtrahend: str
    what: str


@dataclass(frozen=True)
class Table:
    """A table as it is asked for.

    Args:
        name: of its folder.
        title: its heading.
        rows: in their order.
        differences: the questions that it answers.
        by_steps: rows to be compared by their number of gradient steps.
        note: what a reader must know of the whole; None for nothing.
        groups: what the groups of rows are called, in their order.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    by_steps: tuple[str, ...] = ()
    note: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            ArgumentError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ArgumentError.unknown("rows", name, [row.name for row in self.rows])
