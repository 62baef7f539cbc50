"""A folder of several seeds of one recipe: a run folder for each in it, and their mean."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, RunError, shown
from qdistill.evaluate.protocol import summary
from qdistill.experiments.folder import begin, check_begun, check_free
from qdistill.experiments.recipe import Recipe
from qdistill.fields import check_seed
from qdistill.files import SCORES, SEEDS, write_json
from qdistill.folders import holding
from qdistill.lock import Lock
from qdistill.run_files import read_seeds


@dataclass(frozen=True)
class SeedsFolder:
    """Runs of a recipe that differ in their seed, side by side in one folder.

    Args:
        recipe: of all of them; its own seed is not used.
        seeds: one or more, each once.
        folder: that holds `seed-0`, `seed-1`, ..., `seeds.json` and, in the end, the `scores.json` of all.
        resume: whether it is gone on with, or new.

    Raises:
        ArgumentError: no seeds, one twice, or what is none.
    """

    recipe: Recipe
    seeds: Sequence[int]
    folder: Path
    resume: bool

    def __post_init__(self) -> None:
        """Check the seeds."""
        checked = [check_seed(seed, "seeds") for seed in self.seeds]
        if not checked or len(set(checked)) < len(checked):
            raise ArgumentError(f"Argument `seeds` must be different numbers, one at least, but was {shown(checked)}.")
        object.__setattr__(self, "seeds", checked)

    @property
    def recipes(self) -> list[Recipe]:
        """Of the runs, in the order of the seeds."""
        return [dataclasses.replace(self.recipe, seed=seed) for seed in self.seeds]

    @property
    def folders(self) -> list[Path]:
        """Of the runs, in the order of the seeds."""
        return [self.folder / f"seed-{seed}" for seed in self.seeds]

    def check(self) -> None:
        """Make sure that it is free, or is of these seeds and this recipe where it is gone on with.

        Raises:
            RunError: it is not.
        """
        if not self.resume:
            check_free(self.folder)
        elif read_seeds(self.folder) != self.seeds:
            raise RunError(
                f"The folder {self.folder} is of other seeds. Resume it with its own, or choose a new folder."
            )
        else:
            check_begun(self.folder, self.recipe)

    @contextlib.contextmanager
    def held(self) -> Iterator[list[Lock]]:
        """Hold it, and begin it where it is new; the runs in it are not begun.

        Raises:
            RunError: another process holds it, it is not free any more, or it cannot be written to.
        """
        with holding(self.folder) as locks:
            if not self.resume:
                check_free(self.folder)
                write_json(self.folder / SEEDS, self.seeds)
                begin(self.folder, self.recipe)
            yield locks

    def write_scores(self, bundles: Sequence[DistilledDataset]) -> None:
        """Write the mean of all seeds, with its interval."""
        accuracies = [bundle.record.test_accuracy for bundle in bundles]
        found = summary([accuracy for accuracy in accuracies if accuracy is not None])
        write_json(self.folder / SCORES, {"seeds": self.seeds, **found})
