"""`qdistill zoo`: the finished bundles that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from qdistill.cli.shared import call
from qdistill.errors import ArgumentError, RunError


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(zoo, arguments)


def zoo(
    action: Annotated[Literal["list", "get"], Positional],
    name: Annotated[str | None, Positional, arg(metavar="NAME")] = None,
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
    from qdistill.distill.zoo import SUFFIX, zoo_names, zoo_path

    if action == "list":
        if name is not None or out is not None:
            raise ArgumentError("Arguments `name` and `out` must not be given with `list`.")
        names = zoo_names()
        width = max(map(len, names))
        print(f"{'name':<{width}} {'images':>6} {'steps':>6} {'test accuracy':>14} {'n':>7}")
        for each in names:
            bundle = DistilledDataset.load(zoo_path(each))
            record = bundle.record
            accuracy = "-" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
            n_images, n_steps = len(bundle.data.images), len(bundle.data.schedule)
            print(f"{each:<{width}} {n_images:>6} {n_steps:>6} {accuracy:>14} {record.n_test or 0:>7,}")
        return 0
    if name is None:
        raise ArgumentError("Argument `name` must be given with `get`; `qdistill zoo list` has them all.")
    from qdistill.files import write_whole

    target = Path(f"{name}{SUFFIX}") if out is None else out
    content = zoo_path(name).read_bytes()
    if target.exists():
        raise RunError(f"The file {target} exists already. Choose another with --out.")
    write_whole(target, content)
    print(f"{target} ({len(content) / 1024:,.0f} KiB). Next: qdistill evaluate {target}")
    return 0
