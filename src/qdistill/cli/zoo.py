"""`qdistill zoo`: the finished bundles that come with the package."""

from __future__ import annotations

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
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.zoo import SUFFIX, network_of, zoo_names, zoo_path

    if action == "list":
        if name is not None or out is not None:
            raise ArgumentError("Arguments `name` and `out` must not be given with `list`.")
        rows = [("name", "dataset", "images", "steps", "test accuracy", "n", "network")]
        for each in zoo_names():
            bundle = DistilledDataset.load(zoo_path(each))
            record, data = bundle.record, bundle.data
            measured = (f"{record.test_accuracy:.2%}", f"{record.n_test:,}")
            size = (f"{len(data.images)}", f"{len(data.schedule)}")
            rows.append((each, bundle.dataset, *size, *measured, network_of(bundle)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.rjust(w) if 2 <= k < 6 else cell.ljust(w)
                for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            tell("  ".join(cells).rstrip())
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
