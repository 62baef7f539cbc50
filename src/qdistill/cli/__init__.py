"""The command line: parse, call, print.

Each command is a module here, and imported when it is called; whatever takes long to import is imported in the function
that needs it. So help and mistakes are answered at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from qdistill.cli.output import encode_whatever_comes, print_no_more, say, tell, to_standard_output
from qdistill.cli.plugins import forget_plugins, load_plugin
from qdistill.cli.shared import INTERRUPTED
from qdistill.errors import ArgumentError, QDistillError

COMMANDS = (
    "distill",
    "evaluate",
    "rank",
    "show",
    "report",
    "export",
    "compress",
    "execute",
    "diagnose",
    "cost",
    "data",
    "zoo",
    "search",
    "table",
    "paper",
)
"""Each is a module of this package, whose `run` takes the arguments and returns the exit code."""

_HELP = """\
usage: qdistill COMMAND ...

Dataset distillation for quantum neural networks: a training set becomes a few
synthetic examples on which a network learns in a few steps.

commands:
  distill DATASET     distill a dataset into a run folder, or go on with a run
  evaluate BUNDLE     replay a bundle and measure it on the test set
  rank BUNDLE         find which of many circuits learns most from a bundle
  show BUNDLE         say what is in a bundle, and draw its examples
  report RUN          write one HTML page on a run, on seeds, or on a table
  export BUNDLE       write a bundle for PennyLane, Qiskit, NumPy or PyTorch
  compress BUNDLE     write a bundle with a byte a number, and measure it
  execute BUNDLE      replay a bundle with its quantum layer on another backend
  diagnose            measure how gradients fall with qubits and layers
  cost BUNDLE         count the circuits of a training, and what they cost
  data DATASET        fetch a dataset, check it and say what is in it
  zoo list|get NAME   finished bundles that come with the package
  search RECIPE       look for a better recipe, by validation accuracy
  table NAME          a table of results, run from its committed recipes
  paper table1        the paper's table: the same as table table1-mnist

options:
  -h, --help          this text; `qdistill COMMAND --help` for a command's own
  --version           the installed version
  --debug             show where an error came from; goes with any command
  --plugin FILE.py    run a file that registers networks and datasets of your
                      own; goes with any command

start with:
  qdistill distill digits --out runs/first     (a minute or two, no download)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0, 2 for wrong usage, 1 for every other error, 3 for a replay that misses its record, 130 after
        Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    # On some Intel processors XLA takes every program of the compilation cache for another machine's, says so in
    # 2,000 characters, and runs it (openxla/xla#44565). It reads this when it is imported. Its failures are exceptions.
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    encode_whatever_comes()
    forget_plugins()
    try:
        code, farewell = _answer([argument for argument in arguments if argument != "--debug"], debug), ""
    except KeyboardInterrupt:
        code, farewell = INTERRUPTED, "Stopped."
    if code == INTERRUPTED and argv is None:
        # Threads of other libraries may still be waited for. Another Ctrl-C ends that, without their tracebacks.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if farewell:
        say(farewell)
    try:
        with to_standard_output():
            return code
    except SystemExit:
        return 1


def _answer(arguments: list[str], debug: bool) -> int:
    """Do what the arguments say, and explain what goes wrong."""
    try:
        return _dispatch(_without_plugins(arguments))
    except SystemExit as stop:  # after help, or a mistake that has been explained
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:  # whoever reads tyro's help, such as `head`, has read enough
        print_no_more()
        return 1
    except Exception as error:
        if debug:
            say(traceback.format_exc())
        say(f"error: {_in_words(error, debug)}")
        return error.exit_code if isinstance(error, QDistillError) else 1


def _in_words(error: Exception, debug: bool) -> str:
    """What an error says to the user: one line for those that are not raised on purpose."""
    if isinstance(error, QDistillError):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return (
            "The memory ran out. A layer on n qubits takes 2^n numbers for every input and step: take fewer qubits, or "
            "a smaller outer.batch (run the same with --debug to see where)."
        )
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f" {error.filename}"
        return f"Cannot read or write{place}: {error.strerror} (run the same with --debug to see where)."
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {what}" + ("" if debug else " (run the same with --debug to see where; this is a bug)")


def _without_plugins(arguments: list[str]) -> list[str]:
    """Load the files that are named by --plugin, and return the other arguments."""
    others, words = [], iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--plugin":
            others.append(word)
            continue
        path = value if equals else next(words, "")
        load_plugin(Path(path))
    return others


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        tell(*_HELP.splitlines())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from qdistill.version import __version__

        tell(f"qdistill {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        kind = "option" if command.startswith("-") else "command"
        close = difflib.get_close_matches(command, [*COMMANDS, "--help", "--version"], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ArgumentError(
            f"There is no {kind} {command!r}.{hint} The commands are {', '.join(COMMANDS)}; see `qdistill --help`."
        )
    for word in rest:
        # A parser would first miss what a command needs.
        slip = word.startswith("-") and word not in ("--help", "--help-verbose")
        if slip and difflib.get_close_matches(word, ["--help"], cutoff=0.8):
            raise ArgumentError(f"There is no option {word!r}. Did you mean '--help'?")
    code: int = importlib.import_module(f"qdistill.cli.{command}").run(rest)
    return code
