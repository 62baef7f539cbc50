"""The command line: parse, call, print.

Whatever takes long to import is imported in the command that needs it, so that help and mistakes are answered
at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import json
import os
import platform
import sys
import traceback
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, Positional, arg

from qdistill.errors import ArgumentError, DivergenceError, QDistillError, RunError
from qdistill.files import BUNDLE, PROFILE, RECIPE, SCORES, SEEDS, TRACE

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset, Record
    from qdistill.experiments.recipe import Recipe

_INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended

_BundlePath = Annotated[Path, Positional, arg(metavar="BUNDLE")]
_DataDir = Annotated[
    Path | None,
    arg(metavar="FOLDER", help_behavior_hint="(default: $QDISTILL_DATA_DIR, or else the cache, with download)"),
]
_Cache = Annotated[
    bool,
    arg(help="keep compiled programs in the user's cache folder, so that the next run of the kind starts at once."),
]
_Seeds = Annotated[
    str | None,
    arg(
        metavar="FIRST:END",
        help="run these seeds side by side in one program, such as 0:8, each into a run folder of its own.",
        help_behavior_hint="(default: the one of --seed)",
    ),
]
_MemoryBudget = Annotated[
    int | None,
    arg(
        metavar="MIB",
        help="memory for what a long unroll keeps for its meta-gradient; what does not fit is computed again.",
        help_behavior_hint="(default: a quarter of the machine's)",
    ),
]
_PROFILE_HELP = "first trace some iterations: a file that opens in Perfetto, and a summary of where the time goes."

_HELP = """\
usage: qdistill COMMAND ...

Dataset distillation for quantum neural networks: a training set becomes a few
synthetic images on which a network learns in a few steps.

commands:
  distill DATASET     distill a dataset into a run folder, or go on with a run
  evaluate BUNDLE     replay a bundle and measure it on the test set
  show BUNDLE         say what is in a bundle, and draw its images
  data DATASET        fetch a dataset, check it and say what is in it

options:
  -h, --help          this text; `qdistill COMMAND --help` for a command's own
  --version           the installed version
  --debug             show where an error came from; goes with any command

start with:
  qdistill distill digits --out runs/first     (a minute or two, no download)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0, 2 for wrong usage, 1 for every other error, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        code = _dispatch([argument for argument in arguments if argument != "--debug"])
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # tyro's, after help or a mistake that it has explained
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        _say("Stopped.")
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads the output, such as `head`, has read enough. Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except QDistillError as error:
        if debug:
            traceback.print_exc()
        _say(f"error: {error}")
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            _say(f"error: unexpected {what} (run the same with --debug to see where; this is a bug)")
        return 1


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from qdistill import __version__

        print(f"qdistill {__version__}")
        return 0
    command, *rest = arguments
    if command not in _COMMANDS:
        kind = "option" if command.startswith("-") else "command"
        close = difflib.get_close_matches(command, [*_COMMANDS, "--help", "--version"], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ArgumentError(
            f"There is no {kind} {command!r}.{hint} The commands are {', '.join(_COMMANDS)}; see `qdistill --help`."
        )
    return _COMMANDS[command](rest)


# --- distill ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """What the command line asks `run` or `run_seeds` for."""

    recipe: Recipe
    folder: Path
    resume: bool
    seeds: tuple[int, ...] | None
    data_dir: Path | None
    compilation_cache: bool
    memory_budget: int | None
    profile: bool = False


def _distill(arguments: list[str]) -> int:
    helping = not {"-h", "-H", "--help", "--help-verbose"}.isdisjoint(arguments)
    resuming = any(argument.partition("=")[0] == "--resume" for argument in arguments)
    asked = _parse_resume(arguments) if resuming and not helping else _parse_distill(arguments)
    if asked.compilation_cache:
        _use_compilation_cache()
    if asked.seeds is not None:
        _use_cores(len(asked.seeds))

    from qdistill.experiments.progress import ProgressDisplay
    from qdistill.experiments.run import run, run_seeds

    folder = asked.folder
    try:
        with ProgressDisplay() as display:
            options: dict[str, Any] = {
                "data_dir": asked.data_dir,
                "resume": asked.resume,
                "observer": display,
                "memory_budget": asked.memory_budget,
            }
            if asked.seeds is None:
                bundles = [run(asked.recipe, folder, with_profile=asked.profile, **options)]
            else:
                bundles = run_seeds(asked.recipe, asked.seeds, folder, **options)
    except DivergenceError:
        _draw(folder)
        raise
    except KeyboardInterrupt:
        pictures = _draw(folder)
        if pictures:
            _say(f"The best images so far are in {folder}, drawn in {_listed(pictures)}.")
        _say(f"To go on: qdistill distill --resume {folder}")
        return _INTERRUPTED
    pictures = _draw(folder)
    if asked.profile:
        _print_profile(folder)
    bundle = bundles[0]
    print(f"Distilled {bundle.dataset} into {len(bundle.data.images)} images.")
    if asked.seeds is None:
        rows = [*_accuracies(bundle.record), ("bundle", str(folder / BUNDLE))]
    else:
        rows = _accuracies_of_seeds(asked.seeds, [bundle.record for bundle in bundles], folder)
    shown = pictures if asked.seeds is None else [pictures[0], folder / "seed-*" / "*.png"]
    for name, value in [*rows, ("pictures", _listed(shown))]:
        print(f"  {name:<20} {value}")
    print(f"Next: qdistill evaluate {folder if asked.seeds is None else folder / f'seed-{asked.seeds[0]}'}")
    return 0


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def _parse_distill(arguments: list[str]) -> _Run:
    """Read the options of a new run, which are the fields of its recipe.

    Their defaults depend on the dataset, and which of them the network has on the architecture: these two are
    looked up first.
    """
    from qdistill.data import DATASETS
    from qdistill.experiments.recipe import Recipe, default_recipe
    from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture

    architectures: dict[str, Any] = {"quantum-lenet": QuantumLeNetArchitecture, "lenet": LeNetArchitecture}
    dataset = _find_dataset(arguments, DATASETS)
    default = default_recipe("mnist" if dataset is None else dataset)
    architecture = _find_value(arguments, "--architecture", "quantum-lenet")
    if architecture not in architectures:
        raise ArgumentError.unknown("architecture", architecture, architectures)
    if not isinstance(default.model, architectures[architecture]):
        default = dataclasses.replace(default, model=architectures[architecture]())

    hints = typing.get_type_hints(Recipe)
    own = [
        (field.name, hints[field.name], dataclasses.field(default=getattr(default, field.name)))
        for field in dataclasses.fields(Recipe)
        if field.name != "dataset"
    ]
    more: list[Any] = [
        ("architecture", Annotated[str, arg(metavar=_choice(architectures), help="kind of network.")], architecture),
        ("out", _option("FOLDER", "run folder to make.", "(default: runs/DATASET-1, -2, ...)"), None),
        ("resume", _option("RUN", "go on with this run, by its own recipe and no other option of it.", ""), None),
        ("seeds", _Seeds, None),
        ("data_dir", Annotated[_DataDir, arg(help="where the dataset's files lie.")], None),
        ("compilation_cache", _Cache, True),
        ("memory_budget", _MemoryBudget, None),
        ("profile", Annotated[bool, FlagCreatePairsOff, arg(help=_PROFILE_HELP)], False),
    ]
    # A subclass, so that the options are described by the recipe's docstring and pass its checks.
    options = dataclasses.make_dataclass(
        "Options",
        [("dataset", Annotated[str, Positional, arg(metavar=_choice(DATASETS))]), *own, *more],
        bases=(Recipe,),
        frozen=True,
        namespace={
            "__doc__": "Distill a dataset into a run folder: the bundle, its scores and pictures.\n\n"
            f"The defaults are those for {default.dataset}; -H explains the options."
        },
    )
    given: Any = tyro.cli(
        options, args=arguments, prog="qdistill distill", compact_help=True, config=(AvoidSubcommands,)
    )
    recipe = Recipe(**{field.name: getattr(given, field.name) for field in dataclasses.fields(Recipe)})
    seeds = None if given.seeds is None else _parse_seeds(given.seeds)
    if seeds is not None and recipe.seed != default.seed:
        raise ArgumentError("Argument `seed` must not be given together with `seeds`.")
    if seeds is not None and given.profile:
        raise ArgumentError("Argument `profile` must not be given together with `seeds`: profile one seed alone.")
    folder = _free_folder(recipe.dataset) if given.out is None else given.out
    budget = _in_bytes(given.memory_budget)
    return _Run(recipe, folder, False, seeds, given.data_dir, given.compilation_cache, budget, given.profile)


def _parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``"0:8"``, which are 0 to 7, or ``"0,2,5"``."""
    try:
        first, colon, end = text.partition(":")
        seeds = tuple(range(int(first or 0), int(end))) if colon else tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ArgumentError(
            f"Argument `seeds` must be a range such as 0:8, or different numbers such as 0,2,5, but was {text!r}."
        )
    return seeds


def _in_bytes(mebibytes: int | None) -> int | None:
    if mebibytes is not None and mebibytes < 1:
        raise ArgumentError(f"Argument `memory_budget` must be at least 1 (MiB), but was {mebibytes}.")
    return None if mebibytes is None else mebibytes * 2**20


def _parse_resume(arguments: list[str]) -> _Run:
    """Read the options of a run that goes on."""
    from qdistill.experiments.recipe import Recipe
    from qdistill.experiments.run import read_json

    given, others = tyro.cli(_ResumeOptions, args=arguments, prog="qdistill distill", return_unknown_args=True)
    if others:
        raise ArgumentError(
            f"Argument `{others[0]}` must not be given with --resume: a run goes on by its own recipe. Leave it "
            "out, or start a new run."
        )
    seeds = tuple(read_json(given.resume / SEEDS)) if (given.resume / SEEDS).exists() else None
    own = given.resume if seeds is None else given.resume / f"seed-{seeds[0]}"
    recipe = Recipe.from_json(read_json(own / RECIPE))
    if given.dataset not in (None, recipe.dataset):
        raise ArgumentError(
            f"Argument `dataset` must be {recipe.dataset!r}, which the run {given.resume} distils, or be left out "
            f"with --resume, but was {given.dataset!r}."
        )
    budget = _in_bytes(given.memory_budget)
    return _Run(recipe, given.resume, True, seeds, given.data_dir, given.compilation_cache, budget)


@dataclass(frozen=True)
class _ResumeOptions:
    """Go on with a run."""

    resume: Path
    dataset: Annotated[str | None, Positional] = None
    data_dir: _DataDir = None
    compilation_cache: _Cache = True
    memory_budget: _MemoryBudget = None


def _find_dataset(arguments: list[str], known: Iterable[str]) -> str | None:
    """The dataset that the arguments name, wherever it stands."""
    before = ""
    for argument in arguments:
        if argument in known and before not in ("--out", "--data-dir"):
            return argument
        before = argument
    # What stands first can be nothing but a dataset, if a misspelled one.
    return arguments[0] if arguments and not arguments[0].startswith("-") else None


def _find_value(arguments: list[str], option: str, default: str) -> str:
    """The last value that an option is given, by ``--option value`` or ``--option=value``."""
    for index, argument in reversed(list(enumerate(arguments))):
        name, equals, value = argument.partition("=")
        if name == option and (equals or index + 1 < len(arguments)):
            return value if equals else arguments[index + 1]
    return default


def _choice(names: Iterable[str]) -> str:
    return "{" + ",".join(names) + "}"


def _option(metavar: str, text: str, default: str) -> Any:
    return Annotated[Path | None, arg(metavar=metavar, help=text, help_behavior_hint=default)]


def _free_folder(dataset: str) -> Path:
    number = 1
    while (folder := Path("runs", f"{dataset}-{number}")).exists():
        number += 1
    return folder


def _use_compilation_cache() -> None:
    """Let JAX keep what it compiles; where the folder cannot be made it compiles again, without a word."""
    import importlib.metadata

    import jax

    from qdistill.data.download import cache_folder

    # A compiled program holds the instructions of one kind of processor. The home folder may be shared by
    # machines of several kinds.
    kind = [platform.machine(), platform.processor(), importlib.metadata.version("jaxlib")]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    folder = cache_folder() / "xla" / hashlib.sha256("\n".join(kind).encode()).hexdigest()[:16]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
            # Small programs too: there are dozens of them, and each takes a tenth of a second to compile.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]


def _use_cores(n_seeds: int) -> None:
    """Make each core a device of JAX, up to one a seed; without effect where JAX was used in this process before."""
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(cores, n_seeds))  # type: ignore[no-untyped-call]


# --- evaluate, show, data --------------------------------------------------------------------------------------


def _evaluate(
    bundle: _BundlePath,
    *,
    data_dir: _DataDir = None,
    as_json: Annotated[bool, FlagCreatePairsOff, arg(name="json")] = False,
    compilation_cache: _Cache = True,
) -> int:
    """Replay a bundle's training and measure the network on the test set.

    Args:
        bundle: a bundle file, or the folder of a run.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    path = _bundle_file(bundle)
    if compilation_cache:
        _use_compilation_cache()
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.protocol import replay

    loaded = DistilledDataset.load(path)
    result = replay(loaded, data_dir=data_dir)
    if as_json:
        print(json.dumps({"bundle": str(path), "dataset": loaded.dataset, **dataclasses.asdict(result)}))
        return 0
    recorded = result.recorded_test_accuracy
    print(f"{path} on the test set of {loaded.dataset}")
    print(f"  test accuracy      {_accuracy(result.test_accuracy, result.n_test)}")
    print(f"  recorded           {_accuracy(recorded, loaded.record.n_test)}")
    return 0


def _show(bundle: _BundlePath, *, out: Annotated[Path | None, arg(metavar="FILE.png")] = None) -> int:
    """Say what is in a bundle, and draw its images.

    Args:
        bundle: a bundle file, or the folder of a run.
        out: where to draw the images; by default images.png beside the bundle.
    """
    path = _bundle_file(bundle)
    if out is not None and out.suffix.lower() != ".png":
        raise ArgumentError(f"Argument `out` must end in .png, but was {str(out)!r}.")
    from rich.console import Console
    from rich.table import Table

    from qdistill.distill.bundle import DistilledDataset
    from qdistill.report.figures import IMAGES, draw_images

    loaded = DistilledDataset.load(path)
    table = Table(show_header=False, box=None, title=str(path), title_justify="left", pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _describe(loaded, path):
        table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)
    print(f"Images drawn in {draw_images(loaded, path.parent / IMAGES if out is None else out)}")
    return 0


def _data(dataset: Annotated[str, Positional, arg(metavar="DATASET")], *, data_dir: _DataDir = None) -> int:
    """Fetch a dataset if it is not there yet, check its files, and say what is in it.

    Args:
        dataset: mnist, fashion-mnist, cifar10 or digits.
        data_dir: where the dataset's files lie; nothing is downloaded then.
    """
    import numpy as np

    from qdistill.data import source

    raw = source(dataset).load(data_dir)
    height, width, channels = raw.train_images.shape[1:]
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    rows = [("images", f"{height} x {width}, {colours}, {raw.train_images.dtype}")]
    for part, labels in (("training", raw.train_labels), ("test", raw.test_labels)):
        counts = np.bincount(labels, minlength=len(raw.class_names))
        share = f"{counts.min():,} to {counts.max():,}" if counts.min() < counts.max() else f"{counts[0]:,}"
        rows.append((part, f"{len(labels):,}, {share} of each class"))
    rows += [("classes", ", ".join(raw.class_names)), ("from", _origin(dataset, data_dir))]
    print(dataset)
    for name, value in rows:
        print(f"  {name:<10} {value}")
    return 0


def _origin(dataset: str, data_dir: Path | None) -> str:
    """Where a dataset's files were read from."""
    from qdistill.data import DATASETS, Digits
    from qdistill.data.sources import DATA_DIR_VARIABLE

    if isinstance(DATASETS[dataset], Digits):
        return "the installed scikit-learn"
    if data_dir is not None:
        return f"{data_dir}"
    if os.environ.get(DATA_DIR_VARIABLE):
        return f"{os.environ[DATA_DIR_VARIABLE]} ({DATA_DIR_VARIABLE})"
    from qdistill.data.download import cache_folder

    return f"{cache_folder() / dataset} (downloaded; checksums are right)"


# --- shared ----------------------------------------------------------------------------------------------------


def _command(function: Callable[..., int], name: str) -> Callable[[list[str]], int]:
    """A command whose options are the arguments of a function."""
    return lambda arguments: tyro.cli(function, args=arguments, prog=f"qdistill {name}")


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "distill": _distill,
    "evaluate": _command(_evaluate, "evaluate"),
    "show": _command(_show, "show"),
    "data": _command(_data, "data"),
}


def _bundle_file(path: Path) -> Path:
    """The bundle file that a path names, by itself or by the run folder it lies in."""
    if not path.is_dir():
        return path
    if (path / SEEDS).exists():
        raise RunError(f"The folder {path} is of several seeds. Name one of them, such as {next(path.glob('seed-*'))}.")
    if not (path / BUNDLE).exists():
        raise RunError(
            f"There is no {BUNDLE} in the folder {path}: it is no run folder, or the run has neither ended nor "
            "been stopped yet."
        )
    return path / BUNDLE


def _draw(folder: Path) -> list[Path]:
    from qdistill.report.figures import draw_run

    return draw_run(folder)


def _accuracy(value: float | None, n: int | None) -> str:
    return "not measured" if value is None else f"{value:.2%} (n = {n:,})"


def _accuracies_of_seeds(seeds: Sequence[int], records: Sequence[Record], folder: Path) -> list[tuple[str, str]]:
    scores = json.loads((folder / SCORES).read_text())
    rows = [(f"seed {seed}", _accuracy(r.test_accuracy, r.n_test)) for seed, r in zip(seeds, records, strict=True)]
    if scores["interval"] is not None:
        low, high = scores["interval"]
        rows.append(("mean of test", f"{scores['mean']:.2%} (95 % interval {low:.2%} to {high:.2%})"))
    return [*rows, ("bundles", str(folder / "seed-*" / BUNDLE))]


def _print_profile(folder: Path) -> None:
    """A screen of where the time of an iteration goes."""
    measured = json.loads((folder / PROFILE).read_text())
    total = sum(row["ms"] for row in measured["rows"])
    print(f"One iteration takes {measured['iteration_ms']:.1f} ms ({measured['traced_ms']:.1f} ms while it is traced).")
    print(f"  {'part':<27} {'phase':<29} {'ms':>8} {'share':>7} {'operations':>11}")
    for row in measured["rows"]:
        share = f"{row['ms'] / total:.1%}"
        print(f"  {row['part']:<27} {row['phase']:<29} {row['ms']:8.2f} {share:>7} {row['operations']:11,.0f}")
    print(f"The trace is {folder / TRACE}: open it in https://ui.perfetto.dev.")


def _accuracies(record: Record) -> list[tuple[str, str]]:
    return [
        ("test accuracy", _accuracy(record.test_accuracy, record.n_test)),
        ("validation accuracy", _accuracy(record.validation_accuracy, record.n_validation)),
    ]


def _describe(bundle: DistilledDataset, path: Path) -> list[tuple[str, str]]:
    """What a person wants to know of a bundle, in rows."""
    import numpy as np

    images, labels, sizes = (
        np.asarray(array) for array in (bundle.data.images, bundle.data.labels, bundle.data.step_sizes)
    )
    n, n_classes = labels.shape
    hard = np.array_equal(labels, np.eye(n_classes, dtype=labels.dtype)[labels.argmax(axis=1)])
    inner, weights = bundle.inner, bundle.initial_weights
    epochs = f" ({inner.epochs} epochs of {inner.steps})" if inner.epochs > 1 else ""
    seen = f"{bundle.data.schedule.shape[1]} images of its own" if inner.own_images else "all images"
    if bundle.architecture is None:
        network = "one that the file does not describe"
    else:
        fields = dataclasses.asdict(typing.cast(Any, bundle.architecture)).items()
        network = f"{type(bundle.architecture).__name__}: " + ", ".join(f"{name} {value}" for name, value in fields)
    rows = [
        ("dataset", f"{bundle.dataset} (classes {', '.join(bundle.class_names)})"),
        ("network", network),
        ("initial weights", f"{sum(array.size for array in weights.values()):,} in {len(weights)} arrays"),
        ("images", f"{n}, {' x '.join(str(size) for size in images.shape[1:])}"),
        ("labels", "one-hot" if hard else f"learned, {labels.min():.2f} to {labels.max():.2f}"),
        ("training", f"{inner.total_steps} steps{epochs} of {inner.optimiser}, each on {seen}"),
        ("step sizes", f"{sizes.min():.3g} to {sizes.max():.3g}, mean {sizes.mean():.3g} ({inner.step_sizes})"),
        *_accuracies(bundle.record),
        ("file", f"{path.stat().st_size / 1024:,.0f} KiB"),
    ]
    for name, value in bundle.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        rows.append((name, str(value)))
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr)
