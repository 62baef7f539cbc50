"""`qdistill zoo`: the finished bundles that come with the package."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.shared import call
from qdistill.errors import ArgumentError, RunError


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(zoo, arguments)


def zoo(
    action: Annotated[Literal["list", "get"], Positional],
    name: Annotated[str | None, Positional, arg(metavar="NAME", help_behavior_hint="(not with list)")] = None,
    *,
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: NAME.safetensors here)")] = None,
) -> int:
    """List the zoo's bundles, or copy one. Their names are taken wherever a bundle is, without a copy.

    Args:
        action: what to do.
        name: of the bundle to get.
        out: where to copy it to.
    """
    from qdistill.distill.zoo import SUFFIX, zoo_path

    if action == "list":
        if name is not None or out is not None:
            raise ArgumentError("Arguments `name` and `out` must not be given with `list`.")
        _list()
        return 0
    if name is None:
        raise ArgumentError("Argument `name` must be given with `get`; `qdistill zoo list` has them all.")
    from qdistill.files import write_whole

    target = Path(f"{name}{SUFFIX}") if out is None else out
    content = zoo_path(name).read_bytes()
    if target.exists():
        raise RunError(f"The file {target} exists already. Choose another with --out.")
    write_whole(target, content)
    tell(f"{target} ({len(content) / 1024:,.0f} KiB). Next: qdistill evaluate {target}")
    return 0


def _list() -> None:
    """Print a line of numbers for every bundle, and below it the network, within the width of the terminal."""
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.in_words import network_of
    from qdistill.distill.zoo import zoo_names, zoo_path

    rows, networks = [("name", "dataset", "examples", "steps", "accuracy")], [""]
    for name in zoo_names():
        bundle = DistilledDataset.load(zoo_path(name))
        record, data = bundle.record, bundle.data
        accuracy = "not measured" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
        rows.append((name, bundle.dataset, f"{len(data.inputs)}", f"{len(data.schedule)}", accuracy))
        networks.append(network_of(bundle) + ("" if record.n_test is None else f"; n = {record.n_test:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    width = shutil.get_terminal_size().columns
    for row, network in zip(rows, networks, strict=True):
        cells = [cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))]
        below = textwrap.wrap(network, max(20, width - 1), initial_indent="  ", subsequent_indent="    ")
        tell("  ".join(cells).rstrip(), *below)
