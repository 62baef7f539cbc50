"""What a run shows while it goes: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from qdistill.experiments.metrics import Report
from qdistill.experiments.recipe import Recipe

_WINDOW = 200  # iterations over which the speed is measured


class ProgressDisplay:
    """An `Observer` that writes to standard error, so that standard output stays free for results.

    As a context manager it leaves the terminal in order, however the run ends.

    Args:
        console: where to write; decides by itself whether it is a terminal.
        clock: tells the time in seconds.
    """

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True) if console is None else console
        self._clock = clock
        self._live: Live | None = None
        self._total = self._done = 0
        self._times: deque[float] = deque(maxlen=_WINDOW + 1)
        self._loss = math.nan
        self._reports: Sequence[Report] = ()

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        """See `Observer`."""
        self._total, self._done = recipe.outer.iterations, iteration
        going_on = f" from iteration {iteration:,}" if iteration else ""
        seeds = f", {n_seeds} seeds" if n_seeds > 1 else ""
        line = f"Distilling {recipe.dataset}{seeds}, {self._total:,} iterations{going_on}"
        if not self._console.is_terminal:
            self._print(f"{line}; compiling...")
            return
        self._print(line)
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counter]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("", total=self._total, completed=iteration, counter=self._counter())
        self._numbers = Text("  compiling...", no_wrap=True, overflow="ellipsis")
        # The bar takes the whole width, the numbers the line below: one line would not fit 80 columns.
        self._live = Live(Group(self._bar, self._numbers), console=self._console, refresh_per_second=8)
        self._live.start()

    def iterated(self, iteration: int, loss: float) -> None:
        """See `Observer`."""
        self._done, self._loss = iteration, loss
        self._times.append(self._clock())
        if self._live is not None:
            self._bar.update(self._task, completed=iteration, counter=self._counter())
            self._numbers.plain = "  " + "  ".join([*self._numbers_now(), *self._rejected()])

    def reported(self, reports: Sequence[Report]) -> None:
        """See `Observer`."""
        if not self._reports:
            # The first look at the validation part compiles as well, which must not count as its speed.
            self._times.clear()
            self._times.append(self._clock())
        self._reports = reports
        if self._live is not None:
            self._numbers.plain = "  " + "  ".join([*self._numbers_now(), *self._rejected()])
            return
        losses = [report.loss for report in reports if report.loss is not None]
        if losses:
            self._loss = float(np.mean(losses))
        width = len(f"{self._total:,}")
        counter = f"{self._done:>{width},}/{self._total:,}"
        self._print("  ".join([counter, *self._numbers_now(width=7), *self._pace(width=9), *self._rejected()]).rstrip())

    def end(self, message: str) -> None:
        """See `Observer`."""
        self._close()
        self._print(f"{message.capitalize()} at iteration {self._done:,} of {self._total:,}.")

    def _counter(self) -> str:
        return "  ".join([f"{self._done:,}/{self._total:,}", *self._pace()])

    def _numbers_now(self, *, width: int = 0) -> list[str]:
        """What was measured last, right-aligned where a width is given."""
        parts = [f"loss {self._loss:<{width}.4f}"]
        if self._reports:
            now = _span([report.validation_accuracy for report in self._reports], width and 6)
            best = _span([report.best_validation_accuracy for report in self._reports], width and 6)
            parts.append(f"validation {now}{self._over_draws()} (best {best})")
            step_size = np.mean([np.mean(report.step_sizes) for report in self._reports])
            parts.append(f"step size {step_size:<{width}.3g}")
        return parts

    def _over_draws(self) -> str:
        """For unknown initial weights: how far the accuracies of the draws lie apart, and the lowest."""
        worst = [report.validation_worst for report in self._reports if report.validation_worst is not None]
        spreads = [report.validation_spread for report in self._reports if report.validation_spread is not None]
        if not worst:
            return ""
        return f" ± {max(spreads, default=0.0):.1%}, worst {min(worst):.1%}"

    def _rejected(self) -> list[str]:
        rejected = sum(report.rejected for report in self._reports)
        return [f"rejected {rejected}"] if rejected else []

    def _pace(self, *, width: int = 0) -> list[str]:
        """Speed and time left, once they are known."""
        speed = self._speed()
        if speed is None:
            return []
        rate = f"{speed:.1f} it/s" if speed >= 1 else f"{1 / speed:.1f} s/it"
        return [f"{rate:>{width}}", f"{duration((self._total - self._done) / speed):>{width and 7}} left"]

    def _speed(self) -> float | None:
        """Iterations a second; the first one, which compiles, only starts the clock."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return None
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, such as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _span(accuracies: Sequence[float], width: int) -> str:
    """An accuracy, or the lowest and the highest of several seeds."""
    ends = sorted({f"{min(accuracies):.1%}", f"{max(accuracies):.1%}"}, key=lambda text: float(text[:-1]))
    return " to ".join(f"{end:>{width}}" for end in ends)
