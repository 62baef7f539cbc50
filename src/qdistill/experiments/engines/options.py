"""What is asked for on the command line: where runs go, what each of them takes, and what Slurm is told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields

KINDS = ("here", "processes:N", "ray", "ray:ADDRESS", "slurm", "slurm:local")


@dataclass(frozen=True)
class Each:
    """What each run takes of the machine that it is run on; not for `here`, where a run takes what there is.

    Args:
        cores: of the processor.
        gpus: accelerators, or a part of one.
        memory: of the main memory, in GiB; by default it is not counted.
    """

    cores: int = 1
    gpus: float = 0.0
    memory: float | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.cores < 1:
            raise ArgumentError(f"Argument `each.cores` must be at least 1, but was {self.cores}.")
        if self.gpus < 0:
            raise ArgumentError(f"Argument `each.gpus` must be at least 0, but was {self.gpus}.")
        if self.memory is not None and self.memory <= 0:
            raise ArgumentError(f"Argument `each.memory` must be above 0 (GiB), but was {self.memory}.")


@dataclass(frozen=True)
class SlurmOptions:
    """What Slurm is told of the jobs, in the words of sbatch.

    Args:
        partition: where they are queued.
        time: after how many minutes Slurm ends a job. A run that takes longer is queued again, and goes on.
        account: that pays for them.
        qos: quality of service.
        constraint: features that a node must have.
        at_once: jobs of the array that run at the same time, at most.
        more: any other option of sbatch, as NAME=VALUE.
    """

    partition: str | None = None
    time: int = 240
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    at_once: int = 256
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name in ("time", "at_once"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"Argument `slurm.{name}` must be at least 1, but was {getattr(self, name)}.")
        for word in self.more:
            if not re.fullmatch(r"[a-z][a-z-]*(=.*)?", word):
                raise ArgumentError(f"Argument `slurm.more` must be NAME=VALUE of sbatch's, but was {word!r}.")


@dataclass(frozen=True)
class Place:
    """Where runs go, as ``--on`` names it.

    Args:
        kind: ``"here"``, ``"processes"``, ``"ray"`` or ``"slurm"``.
        detail: a number of processes, an address, ``"local"``, or nothing.
    """

    kind: str
    detail: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what was asked for.

        Raises:
            ArgumentError: it is no place.
        """
        kind, colon, detail = text.partition(":")
        fits = {
            "here": not colon,
            "processes": re.fullmatch("[0-9]{1,9}", detail) is not None,
            "ray": bool(detail) or not colon,
            "slurm": detail == "local" or not colon,
        }
        if not fits.get(kind, False):
            raise ArgumentError(f"Argument `on` must be one of {', '.join(KINDS)}, but was {text!r}.")
        return cls(kind, detail)


EACH, SLURM = Each(), SlurmOptions()
"""Where nothing was asked for."""
