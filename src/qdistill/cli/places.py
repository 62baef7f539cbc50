"""Options that say where runs go, and the engine that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from qdistill.cli.output import say
from qdistill.cli.plugins import PLUGINS, load_plugin
from qdistill.cli.shared import use_compilation_cache
from qdistill.experiments.engines.options import Each, Place, SlurmOptions

if TYPE_CHECKING:
    from qdistill.experiments.engines.engine import Engine
    from qdistill.experiments.loop import Observer

ON_HELP = (
    "where the runs go: here, one recipe after another; processes:N, so many at once on this machine; ray or "
    "ray:ADDRESS, a Ray cluster; slurm, an array of jobs; slurm:local, the same jobs as processes here, to try it."
)
On = Annotated[str, arg(metavar="WHERE", help=ON_HELP)]


def engine(
    on: str,
    each: Each,
    slurm: SlurmOptions,
    *,
    data_dir: Path | None,
    compilation_cache: bool,
    cores: int | None = None,
    observer: Observer | None = None,
) -> Engine:
    """The engine that the options stand for; see `experiments.engines.choose.engine_for`."""
    from qdistill.experiments.engines.choose import engine_for
    from qdistill.experiments.engines.unit import Call, Setup

    plugins = [str(path.resolve()) for path in PLUGINS]
    folder = None if data_dir is None else data_dir.resolve()
    setup = Setup(folder, Call(__name__, "prepare", (plugins, compilation_cache)), cores)
    return engine_for(Place.parse(on), setup, each=each, slurm=slurm, observer=observer, told=say)


def is_here(on: str) -> bool:
    """Whether runs go nowhere else."""
    return Place.parse(on).kind == "here"


def prepare(plugins: list[str], compilation_cache: bool) -> None:
    """Make another process ready for runs: what this one has loaded, and where compiled programs are kept."""
    for path in map(Path, plugins):
        if path not in PLUGINS:
            load_plugin(path)
    if compilation_cache:
        use_compilation_cache()
