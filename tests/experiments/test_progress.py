"""What a run shows: plain lines into a file, a live display on a terminal."""

import io
import itertools
import math
import re

import pytest
from rich.console import Console

from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.metrics import Report
from qdistill.experiments.progress import ProgressDisplay

RECIPE = default_recipe("digits")
TOTAL = RECIPE.outer.iterations


def report(iteration, *, accuracy=0.5, best=0.625, loss=1.25, rejected=0):
    return Report(
        iteration=iteration,
        loss=loss,
        gradient_norm=1.0,
        validation_accuracy=accuracy,
        validation_loss=1.0,
        coefficient_norm=None,
        best_validation_accuracy=best,
        rejected=rejected,
        step_sizes=[[0.01], [0.03]],
    )


def display(*, terminal, seconds=0.5):
    """A display, what it writes into, and a clock that moves on by that much at each look."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, legacy_windows=False)
    clock = itertools.count(0.0, seconds)
    return ProgressDisplay(console, clock=lambda: next(clock)), file


def visible(text):
    """A terminal's text without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_plain_lines():
    progress, file = display(terminal=False)
    progress.begin(RECIPE, 0, 1)
    for iteration in range(1, 101):
        progress.iterated(iteration, 2.0)
        if iteration % 50 == 0:
            progress.reported([report(iteration)])
    progress.end("finished")
    first, line, last_line, end = file.getvalue().splitlines()
    assert first == f"Distilling digits, {TOTAL:,} iterations; compiling..."
    # The first look at the validation part starts the clock again, so there is no speed yet.
    assert line.split() == f"50/{TOTAL:,} loss 1.2500 validation 50.0% (best 62.5%) step size 0.02".split()
    assert f"100/{TOTAL:,}" in last_line
    assert "2.0 it/s" in last_line
    assert last_line.endswith(" left")
    assert end == f"Finished at iteration 100 of {TOTAL:,}."
    assert "\x1b" not in file.getvalue()


def test_plain_lines_stand_in_columns():
    progress, file = display(terminal=False)
    progress.begin(RECIPE, 0, 1)
    for iteration, loss, accuracy in ((1, 2.0, 0.05), (2, 12.345, 0.5), (3, 0.5, 1.0)):
        progress.iterated(iteration, loss)
        progress.iterated(iteration, loss)
        progress.reported([report(iteration, loss=loss, accuracy=accuracy)])
    lines = file.getvalue().splitlines()[1:]
    for word in ("loss", "validation", "(best", "step size"):
        assert len({line.index(word) for line in lines}) == 1


@pytest.mark.parametrize(
    ("seconds", "rate", "left"),
    [(0.01, "100.0 it/s", "0:"), (4.0, "4.0 s/it", "1:"), (3600.0, "3600.0 s/it", ":00:00")],
)
def test_speed_and_time_left(seconds, rate, left):
    progress, file = display(terminal=False, seconds=seconds)
    progress.begin(RECIPE, 0, 1)
    progress.reported([report(0)])
    progress.iterated(1, 1.0)
    progress.reported([report(1)])
    line = file.getvalue().splitlines()[-1]
    assert rate in line
    assert left in line


def test_rejected_iterations_are_counted_where_there_are_any():
    progress, file = display(terminal=False)
    progress.begin(RECIPE, 0, 1)
    progress.iterated(1, math.nan)
    progress.reported([report(1, loss=None)])
    progress.reported([report(1, rejected=3)])
    none, three = file.getvalue().splitlines()[1:]
    assert "rejected" not in none
    assert "loss nan" in none
    assert three.endswith("rejected 3")


def test_a_resumed_run_goes_on_where_it_stopped():
    progress, file = display(terminal=False)
    progress.begin(RECIPE, 90, 1)
    progress.end("finished")
    assert "from iteration 90; compiling..." in file.getvalue()
    assert f"Finished at iteration 90 of {TOTAL:,}." in file.getvalue()


def test_a_terminal_shows_a_live_display():
    progress, file = display(terminal=True)
    with progress:
        progress.begin(RECIPE, 10, 1)
        progress._live.refresh()
        assert "compiling..." in visible(file.getvalue())
        assert f"10/{TOTAL:,}" in visible(file.getvalue())
        for iteration in range(11, 31):
            progress.iterated(iteration, 0.75)
        progress.reported([report(30, loss=0.5, rejected=2)])
        progress.iterated(31, 0.625)
        progress._live.refresh()
    shown = visible(file.getvalue())
    assert f"31/{TOTAL:,}" in shown
    assert "loss 0.6250  validation 50.0% (best 62.5%)  step size 0.02  rejected 2" in shown
    assert "2.0 it/s" in shown
    assert " left" in shown


def test_the_lines_of_a_terminal_fit_into_80_columns():
    progress, file = display(terminal=True, seconds=1000.0)
    with progress:
        progress.begin(RECIPE, 0, 1)
        for iteration in (1, 2, 3):
            progress.iterated(iteration, 12.3456)
            progress.reported([report(iteration, rejected=12)])
        progress._live.refresh()
    lines = re.split(r"[\r\n]+", visible(file.getvalue()))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_the_terminal_is_left_in_order_at_the_end():
    progress, file = display(terminal=True)
    with progress:
        progress.begin(RECIPE, 0, 1)
        progress.end("finished")
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1


def test_the_terminal_is_left_in_order_after_an_error():
    progress, file = display(terminal=True)

    def fail():
        with progress:
            progress.begin(RECIPE, 0, 1)
            raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        fail()
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1


def test_the_default_is_standard_error(capsys):
    progress = ProgressDisplay()
    progress.begin(RECIPE, 0, 1)
    progress.end("stopped")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == f"Stopped at iteration 0 of {TOTAL:,}."


def test_several_seeds_are_shown_by_their_lowest_and_highest():
    progress, file = display(terminal=False)
    progress.begin(RECIPE, 0, 3)
    progress.iterated(1, 2.0)
    progress.reported([report(1, accuracy=a, best=b, rejected=1) for a, b in ((0.5, 0.6), (0.25, 0.75), (0.4, 0.7))])
    progress.iterated(2, 2.0)
    progress.reported([report(2, accuracy=0.5, best=0.75), report(2, accuracy=0.5, best=0.75)])
    first, several, same = file.getvalue().splitlines()
    assert first == f"Distilling digits, 3 seeds, {TOTAL:,} iterations; compiling..."
    assert " ".join(several.split()).endswith(
        "validation 25.0% to 50.0% (best 60.0% to 75.0%) step size 0.02 rejected 3"
    )
    assert "validation 50.0% (best 75.0%)" in " ".join(same.split()).replace("  ", " ")
