"""Shared set-up: every shape and type annotation of the package is checked while the tests run."""

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Half of the tests' time is compilation, often of what another test or worker has compiled. `make clean` forgets it.
# JAX reads this when it is imported, and so do the processes that tests start.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
# XLA then compiles five times as fast, to programs that take four times as long: most tests run each for milliseconds.
# It also compiles each program in one part, not in 32 for as many cores, of which most have next to nothing in them.
# `make test` runs those that are marked `end_to_end` by themselves, as a user's programs are compiled.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
# Beside the other worker a second thread of PyTorch's or Qiskit Aer's would mostly wait, which takes a core too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# On some Intel processors XLA warns of every kept program (openxla/xla#44565).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jaxtyping
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# The hook sees only what is imported after it.
assert "qdistill" not in sys.modules, "qdistill was imported before its annotations could be checked"
install_import_hook("qdistill", "beartype.beartype")

# The command line makes each core a device unless JAX is in use, which would depend on the order of the tests.
assert len(jax.devices()) >= 1

# A process that was started in the background ignores Ctrl-C, and the tests of that would too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example compiles, which is slower than all others together: a deadline would only punish that.
settings.register_profile("local", deadline=None)
# Always the same examples find what they find by the first of them; other ones are drawn on a developer's machine.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long random damage is tried, and from which seed."""
    parser.addoption("--fuzz-seconds", type=float, default=10.0, help="for all of tests/test_fuzz.py together")
    parser.addoption("--fuzz-seed", type=int, default=0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker has one left when the others have done all."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Saves a tenth of the time, which Python would look for garbage among what is imported and traced."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


_TESTS = itertools.count()
_MOST_MAPPINGS = 30_000
_most_memory = 3 << 30


@pytest.fixture(autouse=True)
def few_programs() -> Iterator[None]:
    """Forgets compiled programs now and then, before they are too many.

    Each takes some memory mappings, of which Linux allows a process 65,530. Beyond them LLVM aborts. And with what
    was traced for them, of all tests, they would take tens of gigabytes.
    """
    global _most_memory
    yield
    # To count takes as long as a small test.
    if next(_TESTS) % 16 or not os.path.exists("/proc/self/maps"):
        return
    with open("/proc/self/maps", "rb") as maps:  # not by `Path`, whose methods a test may have replaced
        count = maps.read().count(b"\n")
    if count > _MOST_MAPPINGS or _memory() > _most_memory:
        jax.clear_caches()
        gc.collect()
        # What the allocator does not give back is used again.
        _most_memory = max(_most_memory, _memory() + (1 << 30))


def _memory() -> int:
    """Bytes of this process in the main memory."""
    with open("/proc/self/statm", "rb") as counts:
        return int(counts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def torch_in_single_precision() -> Iterator[None]:
    """Undoes what an exported program that a test has run sets for the whole process."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_default_dtype(sys.modules["torch"].float32)


_PROGRAMS: dict[Any, Any] = {}


@pytest.fixture(scope="module")
def shared_programs() -> Iterator[None]:
    """Lets runs of one recipe on the same data share what is compiled, as the seeds of one run do.

    Most of what a small run takes is tracing, even of what another test has compiled.
    """
    from qdistill.experiments import follow, loop

    make_distillers, side_by_side = follow.make_distillers, loop.SideBySide

    def shared_distillers(recipes: Sequence[Any], splits: Any, **how: Any) -> Any:
        name = (*recipes, splits.ordered_digest, *how.items())
        if name not in _PROGRAMS:
            _PROGRAMS[name] = make_distillers(recipes, splits, **how)
        return _PROGRAMS[name]

    def shared_side_by_side(distillers: Sequence[Any], *how: Any) -> Any:
        name = (*map(id, distillers), *how)
        if name not in _PROGRAMS:
            _PROGRAMS[name] = side_by_side(distillers, *how)  # keeps the distillers, so that no other has their id
        return _PROGRAMS[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "make_distillers", shared_distillers)
        patch.setattr(loop, "SideBySide", shared_side_by_side)
        yield


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Switches float64 on for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a wrong type pass, as it does for a user, so that the package's own error can be seen."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
