"""What several commands share: the options that they have in common, and how a result is printed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from qdistill.cli.output import say
from qdistill.cli.plugins import PLUGINS
from qdistill.errors import ArgumentError, BundleError, RunError, did_you_mean
from qdistill.files import BUNDLE, SEEDS

if TYPE_CHECKING:
    from qdistill.data import RawDataset, Splits
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.record import Record, Rerun, Rounding
    from qdistill.evaluate.protocol import Evaluations

INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended."""

OTHER_DATA = "This is not the data that the bundle was made from: inputs, labels, classes or their number differ."
NOT_COMPARED = "The recorded accuracy is of the other data and not compared."

BundlePath = Annotated[Path, Positional, arg(metavar="BUNDLE")]
DataDir = Annotated[
    Path | None,
    arg(metavar="FOLDER", help_behavior_hint="(default: $QDISTILL_DATA_DIR, or else the cache, with download)"),
]
Cache = Annotated[
    bool,
    arg(help="keep compiled programs in the user's cache folder, so that the next run of the kind starts at once."),
]
Cores = Annotated[
    int | None,
    arg(
        metavar="N",
        help="cores that share an iteration, or have seeds of their own.",
        help_behavior_hint="(default: those that make it quicker)",
    ),
]
Rates = Annotated[Path | None, arg(metavar="FILE.toml", help_behavior_hint="(default: the package's)")]
Directions = Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 32; with spsa only)")]


def spsa_directions(given: int | None, gradient: str) -> int:
    """How many directions spsa averages over.

    Raises:
        ArgumentError: they were given for another rule.
    """
    from qdistill.quantum.gates import SPSA_DIRECTIONS

    if given is not None and gradient != "spsa":
        raise ArgumentError(
            f"Argument `directions` must be left out but for spsa, which averages over them, but was {given}."
        )
    return SPSA_DIRECTIONS if given is None else given


def call(function: Callable[..., int], arguments: list[str]) -> int:
    """Call a function whose arguments are the options of the command that has its name."""
    return tyro.cli(function, args=arguments, prog=f"qdistill {function.__name__}")


def again(*words: object) -> str:
    """A command line to go on with, which a shell takes as it stands, with the plugins of this one."""
    plugins = [word for path in PLUGINS for word in ("--plugin", str(path))]
    return shlex.join(["qdistill", *plugins, *(str(word) for word in words)])


def use_compilation_cache() -> None:
    """Let JAX keep what it compiles; where the folder cannot be made it compiles again, without a word."""
    import importlib.metadata

    import jax

    from qdistill.data.download import cache_folder

    # A compiled program holds the instructions of one kind of processor. The home folder may be shared by
    # machines of several kinds.
    kind = [platform.machine(), platform.processor(), importlib.metadata.version("jaxlib")]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        kind += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    folder = cache_folder() / "xla" / hashlib.sha256("\n".join(kind).encode()).hexdigest()[:16]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
            # Small programs too: there are dozens of them, and each takes a tenth of a second to compile.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]


def say_which(path: Path) -> None:
    """Tell the user where a file or folder here hides one of the zoo's bundles by its name."""
    from qdistill.distill.zoo import zoo_names

    if str(path) in zoo_names() and path.exists():
        say(
            f"Note: {path} is the {'folder' if path.is_dir() else 'file'} here, not the zoo's bundle of that name. "
            f"That one: qdistill zoo get {path} --out OTHER.safetensors"
        )


def bundle_file(path: Path) -> Path:
    """The bundle file that a path names, by itself, by the run folder it lies in, or as one of the zoo's."""
    say_which(path)
    if not path.is_dir():
        from qdistill.distill.zoo import named_or_path, zoo_names

        file = named_or_path(path)
        if not file.exists() and file.parent == Path() and not file.suffix:
            raise ArgumentError(
                f"Argument `bundle` must be a file, a folder of a run or a name of the zoo, but there is no "
                f"{str(path)!r}.{did_you_mean(str(path), zoo_names())} `qdistill zoo list` has the names."
            )
        return file
    if (path / SEEDS).exists():
        raise RunError(f"The folder {path} is of several seeds. Name one of them, such as {next(path.glob('seed-*'))}.")
    if not (path / BUNDLE).exists():
        raise RunError(
            f"There is no {BUNDLE} in the folder {path}: it is no run folder, or the run has neither ended nor "
            "been stopped yet."
        )
    return path / BUNDLE


def home_of(bundle: Path) -> Path:
    """Where to write what belongs to a bundle: its run folder, or the folder of its file; here for one of the zoo's."""
    return bundle if bundle.is_dir() else bundle.parent


def say_other_data(bundle: DistilledDataset, raw: RawDataset, then: str) -> None:
    """Tell the user where a dataset is another one than a bundle was made from, and what follows."""
    if bundle.made_from(raw) is False:
        say(f"{OTHER_DATA} {then}")


def check_same_data(bundle: DistilledDataset, raw: RawDataset) -> None:
    """Make sure that a dataset is not another one than a bundle was made from, as far as it says from which.

    Raises:
        BundleError: it is.
    """
    if bundle.made_from(raw) is False:
        raise BundleError(
            f"The bundle was made from other data than {bundle.dataset} now is, so it cannot be measured as it was."
        )


def splits_of(bundle: DistilledDataset, data_dir: Path | None) -> Splits:
    """The parts of the dataset that a bundle was made from, for a choice by its validation part.

    Raises:
        BundleError: the bundle does not say how large that was, or the dataset is another one now.
        DataError: the dataset's files are damaged, or are neither there nor to be had.
    """
    from qdistill.data import split

    n_validation = bundle.record.n_validation
    if n_validation is None:
        raise BundleError("The bundle does not say how many inputs its validation part has, by which to choose.")
    raw = bundle.origin.load(data_dir)
    check_same_data(bundle, raw)
    return split(bundle.fitted(raw), n_validation=n_validation)


def accuracy(value: float | None, n: int | None) -> str:
    """An accuracy as people read it."""
    return "not measured" if value is None else f"{value:.2%} (n = {n:,})"


def accuracies(record: Record) -> list[tuple[str, str]]:
    """The accuracies that a bundle records, in rows."""
    return [
        ("test accuracy", accuracy(record.test_accuracy, record.n_test) + over_draws(record.test_draws)),
        (
            "validation accuracy",
            accuracy(record.validation_accuracy, record.n_validation) + over_draws(record.validation_draws),
        ),
    ]


def over_draws(draws: Sequence[float]) -> str:
    """What stands behind a mean accuracy over draws of the initial weights; nothing where there are none."""
    if not draws:
        return ""
    from statistics import stdev

    spread = f" ± {stdev(draws):.2%}" if len(draws) > 1 else ""
    return f", mean{spread} over {len(draws)} draws of the initial weights, worst {min(draws):.2%}"


def rerun(found: Rerun, n: int) -> str:
    """What a replay in another precision, or from slightly other numbers, gave."""
    changed = "1 input gets" if found.changed == 1 else f"{found.changed:,} inputs get"
    return f"{accuracy(found.accuracy, n)}, {changed} another class"


def with_noise(found: Rounding) -> str:
    """What replays from numbers with rounding noise gave."""
    if not found.perturbed:
        return "not measured"
    accuracies, most = [one.accuracy for one in found.perturbed], max(one.changed for one in found.perturbed)
    span = f"{min(accuracies):.2%} to {max(accuracies):.2%}"
    return f"{span} in {len(accuracies)} draws, up to {most:,} inputs get another class"


def spread(result: Evaluations) -> str:
    """What many trainings gave: their mean, how many they were and the interval, and how many came to nothing."""
    draws, lost = len(result.test_accuracies), ""
    if result.diverged:
        lost = f"{result.diverged} of {draws + result.diverged} trainings did not stay finite and are left out"
    if result.mean is None:
        return f"none: {lost.removesuffix(' and are left out')}"
    text = f"{result.mean:.2%} (n = {result.n_test:,}" + (f", {draws} draws" if draws > 1 else "")
    if result.interval is not None:
        low, high = result.interval
        text += f", 95 % interval {low:.2%} to {high:.2%}"
    return f"{text}){f'; {lost}' if lost else ''}"
