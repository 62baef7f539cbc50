"""`qdistill compress`: a bundle with a byte a number, and the accuracy that is left of it."""

from __future__ import annotations

import contextlib
import dataclasses
from operator import itemgetter
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.shared import (
    BundlePath,
    Cache,
    DataDir,
    accuracies,
    bundle_file,
    call,
    splits_of,
    use_compilation_cache,
)
from qdistill.errors import BundleError, DivergenceError, RunError
from qdistill.files import check_writable
from qdistill.lock import hold

ROUNDINGS = 16
"""Of which the one with the best validation accuracy is taken: trainings are sensitive to the last bits."""


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(compress, arguments)


def compress(
    bundle: BundlePath,
    file: Annotated[Path, Positional, arg(metavar="FILE.safetensors")],
    *,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
) -> int:
    """Write a bundle with a byte for each number of its inputs and initial weights, a third of the size or less.

    Rounding makes it another training, so it is replayed and measured as a run is: the file's record is its own. Of 16
    roundings, all to the nearest of 256 levels that begin elsewhere, it takes the best by validation accuracy.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        file: where to write it to.
        data_dir: where the dataset's files lie.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    path = bundle_file(bundle)
    _check_new(file)
    check_writable(file)
    if compilation_cache:
        use_compilation_cache()
    with hold(file.with_name(f".{file.name}.lock"), file):
        _check_new(file)
        _compress(path, file, data_dir)
    return 0


def _check_new(file: Path) -> None:
    if file.exists():
        raise RunError(f"The file {file} exists already. Choose another.")


def _compress(path: Path, file: Path, data_dir: Path | None) -> None:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.record import Record
    from qdistill.evaluate.protocol import measure
    from qdistill.evaluate.rounding import checked

    loaded = DistilledDataset.load(path)
    if loaded.drawn_anew is not None:
        raise BundleError(
            "The bundle is for unknown initial weights and holds none that could be made smaller. To compress one for "
            "known weights, draw some: `qdistill export BUNDLE --to bundle --seed N`."
        )
    splits = splits_of(loaded, data_dir)
    trained = []
    for seed in (None, *range(ROUNDINGS - 1)):
        rounded = loaded.in_eight_bits(seed)
        # Another training may leave what is finite though the bundle's own does not.
        with contextlib.suppress(DivergenceError):
            model = rounded.train()
            accuracy = measure(model, rounded, splits.validation.inputs, splits.validation.labels)
            trained.append((accuracy, rounded, model))
    if not trained:
        raise DivergenceError(f"The training on none of {ROUNDINGS} roundings stays finite.")
    best, small, model = max(trained, key=itemgetter(0))
    record = Record(
        test_accuracy=measure(model, small, splits.test.inputs, splits.test.labels),
        n_test=len(splits.test),
        validation_accuracy=best,
        n_validation=len(splits.validation),
    )
    checked(dataclasses.replace(small, record=record), splits.validation, splits.test).save(file)
    for name, where, each in (("before", path, loaded.record), ("now", file, record)):
        tell(f"{name}: {where.stat().st_size / 1024:,.0f} KiB")
        for what, value in accuracies(each):
            tell(f"  {what:<20} {value}")
    worst = min(accuracy for accuracy, _, _ in trained)
    lost = ROUNDINGS - len(trained)
    rest = f"; with {lost} the training did not stay finite" if lost else ""
    tell(f"{len(trained)} roundings had validation accuracies of {worst:.2%} to {best:.2%}{rest}")
    tell(f"Written: {file}")
