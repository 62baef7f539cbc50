"""The log of a search, `trials.jsonl`: a line a trial, from which a search that was stopped goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qdistill.files import TRIALS, write_text
from qdistill.run_files import read_trials

TrialState = Literal["running", "waiting", "ended", "diverged", "failed", "refused"]
"""On its way to a rung, waiting at one, or at its end; or its numbers were not finite, it failed for another reason, or
the recipe refuses its values together."""


@dataclass(frozen=True)
class Look:
    """What a trial gave at a rung.

    Args:
        iteration: done by then.
        validation_accuracy: the best until then, a fraction; the mean over the seeds.
        core_seconds: that the trial had taken.
        spent: core-seconds that all trials together had taken.
    """

    iteration: int
    validation_accuracy: float
    core_seconds: float
    spent: float


@dataclass
class Trial:
    """One recipe that is tried.

    Args:
        number: from 0, which is the recipe that is searched, as it stands.
        values: of the fields that are searched.
        state: where it stands.
        looks: one for each rung that it has come to.
        core_seconds: that it has taken, of a core, or of an accelerator where it ran on one.
        message: why it goes no further.
    """

    number: int
    values: Mapping[str, Any]
    state: TrialState = "running"
    looks: list[Look] = field(default_factory=list)
    core_seconds: float = 0.0
    message: str | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"trial-{self.number}"

    @property
    def is_sound(self) -> bool:
        """Whether nothing went wrong."""
        return self.state in ("running", "waiting", "ended")

    @property
    def score(self) -> float:
        """The best validation accuracy so far; of a trial that has been looked at."""
        return self.looks[-1].validation_accuracy

    @property
    def done(self) -> int:
        """Iterations at the last rung."""
        return self.looks[-1].iteration if self.looks else 0


def write_log(folder: Path, trials: Sequence[Trial]) -> None:
    """Write all trials of a search."""
    write_text(folder / TRIALS, "".join(json.dumps(dataclasses.asdict(trial)) + "\n" for trial in trials))


def read_log(folder: Path, fields: Collection[str]) -> list[Trial]:
    """The trials of a search over some fields so far; none where there is no log yet.

    Raises:
        RunError: a line is damaged, or has other fields.
    """
    lines = read_trials(folder, fields)
    return [Trial(**{**line, "looks": [Look(**look) for look in line["looks"]]}) for line in lines]
