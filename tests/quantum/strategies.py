"""Hypothesis strategies for circuits and unitaries, and the vectors that go with them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from qdistill.quantum import Circuit

from .reference import random_circuit, random_unitary

N_WEIGHTS = 6
N_FEATURES = 4


def examples(count: int) -> settings:
    """How many examples a test runs; the time of one is mostly compilation, and says nothing."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


seeds = st.integers(0, 2**32 - 1)
unitaries = st.randoms(use_true_random=False).map(random_unitary)


@contextmanager
def unchanged_global_random_state() -> Iterator[None]:
    """Run-time type checks sample long containers with the global generator, which Hypothesis forbids here."""
    state = random.getstate()
    yield
    random.setstate(state)


@st.composite
def circuits(draw: st.DrawFn, *, min_wires: int = 1, max_wires: int = 5, polynomials: bool = True) -> Circuit:
    """Circuits over all gates, of up to 20 operations, with at most N_WEIGHTS weights and N_FEATURES features."""
    n_wires = draw(st.integers(min_wires, max_wires))
    n_operations = draw(st.integers(0, 20))
    chooser = draw(st.randoms(use_true_random=False))
    with unchanged_global_random_state():
        return random_circuit(
            chooser,
            n_wires,
            n_operations,
            n_weights=N_WEIGHTS,
            n_features=N_FEATURES,
            polynomials=polynomials,
        )


def vectors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and features for any of these circuits: double precision, exact in single precision too."""
    generator = np.random.default_rng(seed)
    draw = generator.uniform(-np.pi, np.pi, N_WEIGHTS + N_FEATURES).astype(np.float32).astype(float)
    return draw[:N_WEIGHTS], draw[N_WEIGHTS:]


def random_state(n_wires: int, seed: int) -> np.ndarray:
    """A complex state of norm 1, double precision."""
    generator = np.random.default_rng(seed)
    state = generator.normal(size=2**n_wires) + 1j * generator.normal(size=2**n_wires)
    return state / np.linalg.norm(state)
