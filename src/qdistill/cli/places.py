"""Options that say where runs go, and the engine that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from qdistill.cli.output import say
from qdistill.cli.plugins import PLUGINS, load_plugin
from qdistill.cli.shared import Cache, Cores, DataDir, use_compilation_cache
from qdistill.errors import ArgumentError
from qdistill.experiments.engines.options import EACH, SLURM, Each, Place, SlurmOptions

if TYPE_CHECKING:
    from qdistill.experiments.engines.engine import Engine
    from qdistill.experiments.loop import Observer

ON_HELP = (
    "where the runs go: here, one recipe after another; processes:N, so many at once on this machine; ray or "
    "ray:ADDRESS, a Ray cluster; slurm, an array of jobs; slurm:local, the same jobs as processes here, to try it."
)
On = Annotated[str, arg(metavar="WHERE", help=ON_HELP)]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How runs are run, whatever they are of."""

    data_dir: Annotated[DataDir, arg(help="where the datasets' files lie.")] = None
    compilation_cache: Cache = True
    cores: Cores = None
    on: On = "here"
    each: Each = EACH
    slurm: SlurmOptions = SLURM

    @property
    def is_here(self) -> bool:
        """Whether they go nowhere else."""
        return Place.parse(self.on).kind == "here"

    @property
    def is_usual(self) -> bool:
        """Whether nothing was said of where they go and what they take."""
        return self.is_here and (self.cores, self.each, self.slurm) == (None, EACH, SLURM)

    def words(self) -> list[str]:
        """Where they go and where their data lie, as that is typed."""
        words = [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
        if not self.is_here:
            words += ["--on", self.on]
        for name, given, usual in (("each", self.each, EACH), ("slurm", self.slurm, SLURM)):
            for field in dataclasses.fields(given):
                value = getattr(given, field.name)
                if value != getattr(usual, field.name):
                    values = value if isinstance(value, tuple) else (value,)
                    words += [f"--{name}.{field.name.replace('_', '-')}", *map(str, values)]
        return words

    def make_ready(self) -> None:
        """Make this process ready for runs here, and for what is compiled.

        Raises:
            ArgumentError: `cores` were given for runs elsewhere, or are no such number.
        """
        if not self.is_here and self.cores is not None:
            raise ArgumentError(f"Argument `cores` must be left out with --on {self.on}: each run has --each.cores.")
        if self.compilation_cache:
            use_compilation_cache()
        if self.is_here:
            from qdistill.experiments.devices import make_cores_devices

            make_cores_devices(self.cores)

    def engine(self, observer: Observer | None = None, told: Callable[[str], None] = say) -> Engine:
        """The engine that they stand for; see `experiments.engines.choose.engine_for`."""
        from qdistill.experiments.engines.choose import engine_for
        from qdistill.experiments.engines.unit import Call, Setup

        plugins = [str(path.resolve()) for path in PLUGINS]
        folder = None if self.data_dir is None else self.data_dir.resolve()
        setup = Setup(folder, Call(__name__, "prepare", (plugins, self.compilation_cache)), self.cores)
        return engine_for(Place.parse(self.on), setup, each=self.each, slurm=self.slurm, observer=observer, told=told)


def prepare(plugins: list[str], compilation_cache: bool) -> None:
    """Make another process ready for runs: what this one has loaded, and where compiled programs are kept."""
    for path in map(Path, plugins):
        if path not in PLUGINS:
            load_plugin(path)
    if compilation_cache:
        use_compilation_cache()
