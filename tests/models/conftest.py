"""Fixtures shared by the tests of the networks."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jaxtyping
import pytest


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Switches float64 on for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a wrong type pass, as it does for a user, so that the package's own error can be seen."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
