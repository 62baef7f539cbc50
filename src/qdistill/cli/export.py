"""`qdistill export`: a bundle for another framework."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from qdistill.cli.output import say, tell
from qdistill.cli.shared import (
    BundlePath,
    Cache,
    DataDir,
    bundle_file,
    call,
    home_of,
    say_other_data,
    use_compilation_cache,
)
from qdistill.errors import ArgumentError, RunError
from qdistill.fields import check_seed
from qdistill.files import BUNDLE

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(export, arguments)


def export(
    bundle: BundlePath,
    *,
    to: Literal["pennylane", "qiskit", "qasm", "numpy", "torch", "csv", "huggingface", "bundle"],
    seed: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 0; with bundle only)")] = None,
    out: Annotated[
        Path | None,
        arg(metavar="FOLDER", help_behavior_hint="(default: BUNDLE-TARGET beside the bundle; exports/NAME-TARGET)"),
    ] = None,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
) -> int:
    """Write a bundle for another framework: its arrays, and a short program that uses them without this package.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        to: pennylane and qiskit train a circuit classifier, or solve a kernel, on the examples and measure it, and of
            other networks take the trained quantum layers, as qasm does of all but kernels; numpy and torch train an
            image network; csv is a table; huggingface (an extra) is a folder with a card that the hub and load_dataset
            read; bundle is for a bundle for unknown initial weights: it draws them, and writes a bundle for the draw,
            which is what the others but csv and huggingface take.
        seed: decides that draw.
        out: where to write; by default beside the bundle, and in the folder exports for a NAME of the zoo.
        data_dir: where the dataset's files lie; programs that train take the test set from there.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    if seed is not None and to != "bundle":
        raise ArgumentError(f"Argument `seed` must be left out but for a bundle, which is drawn by it, but was {seed}.")
    path = bundle_file(bundle)
    if compilation_cache:
        use_compilation_cache()
    from qdistill.backends.bundle_export import export_bundle, trains
    from qdistill.distill.bundle import DistilledDataset

    loaded = DistilledDataset.load(path)
    home = home_of(bundle) if bundle.exists() else Path("exports")
    folder = home / f"{path.stem}-{to}" if out is None else out
    if to == "bundle":
        tell(_drawn(loaded, check_seed(seed or 0), folder))
        return 0
    raw = loaded.origin.load(data_dir) if trains(loaded, to) else None
    files = export_bundle(loaded, to, folder, raw)
    tell(*files)
    if raw is not None:
        say_other_data(
            loaded, raw, "What the program measures is of this data, and not to be compared with the record."
        )
    programs = [file for file in files if file.suffix == ".py"]
    if programs:
        say(f"Next: {shlex.join(['python', str(programs[0])])}")
    return 0


def _drawn(loaded: DistilledDataset, seed: int, folder: Path) -> Path:
    """Write a bundle for known initial weights, which are one draw."""
    import jax

    one = loaded.drawn(key=jax.random.key(seed))
    file = folder / BUNDLE
    if file.exists():
        raise RunError(f"The file {file} exists already. Choose another folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    one.save(file)
    return file
