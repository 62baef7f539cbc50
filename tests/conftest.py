"""Shared set-up: every shape and type annotation of the package is checked while the tests run."""

import gc
import os
import signal
import sys
from collections.abc import Iterator

import jax
import jaxtyping
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# The hook sees only what is imported after it.
assert "qdistill" not in sys.modules, "qdistill was imported before its annotations could be checked"
install_import_hook("qdistill", "beartype.beartype")

# A process that was started in the background ignores Ctrl-C, and the tests of that would too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example compiles, which is slower than all others together: a deadline would only punish that.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long random damage is tried, and from which seed."""
    parser.addoption("--fuzz-seconds", type=float, default=60.0, help="for all of tests/test_fuzz.py together")
    parser.addoption("--fuzz-seed", type=int, default=0)


@pytest.fixture(autouse=True)
def few_programs() -> Iterator[None]:
    """Forgets compiled programs after a test, before they are too many.

    Each takes some memory mappings, of which Linux allows a process 65,530. Beyond them LLVM aborts.
    """
    yield
    if not os.path.exists("/proc/self/maps"):
        return
    with open("/proc/self/maps", "rb") as maps:  # not by `Path`, whose methods a test may have replaced
        count = maps.read().count(b"\n")
    if count > 30_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Switches float64 on for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a wrong type pass, as it does for a user, so that the package's own error can be seen."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
