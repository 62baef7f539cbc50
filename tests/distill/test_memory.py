"""The memory policy against brute force, and the machine's memory against made-up machines."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill import machine
from qdistill.distill import memory
from qdistill.distill.memory import DEFAULT_SHARE, segment_lengths
from qdistill.errors import ArgumentError
from qdistill.machine import UNKNOWN_MEMORY, machine_memory


def kept(lengths: tuple[int, ...], carry_bytes: int, step_bytes: int) -> int:
    """The formula of the module's text."""
    return sum(lengths[:-1]) * carry_bytes + lengths[-1] * step_bytes


def plan_or_none(*arguments: Any) -> tuple[int, ...] | None:
    steps, carry_bytes, step_bytes, budget = arguments
    try:
        return segment_lengths(steps, carry_bytes=carry_bytes, step_bytes=step_bytes, budget=budget)
    except ArgumentError:
        return None


byte_counts = st.integers(1, 10**9)


@given(
    steps=st.integers(1, 2000),
    carry_bytes=byte_counts,
    # A step keeps at least the weights; whole multiples are the usual case.
    step_bytes=st.one_of(byte_counts, st.none()),
    share=st.floats(0, 1.2),
)
def test_the_segments_hold_every_step_and_keep_to_the_budget(
    steps: int, carry_bytes: int, step_bytes: int | None, share: float
) -> None:
    step_bytes = 2 * carry_bytes if step_bytes is None else step_bytes
    budget = int(share * steps * step_bytes)
    lengths = plan_or_none(steps, carry_bytes, step_bytes, budget)
    if steps * step_bytes <= budget:
        assert lengths == (steps,)
    elif lengths is not None:
        assert len(lengths) > 1
        assert kept(lengths, carry_bytes, step_bytes) <= budget
        assert all(length >= 2 for length in lengths[:-1])
        assert lengths[-1] >= 1
        assert steps <= math.prod(lengths), "every step has its place"
        assert math.prod(lengths[1:]) * (lengths[0] - 1) < steps, "no segment is all beyond the last step"


@given(
    steps=st.integers(1, 24), carry_bytes=st.integers(1, 9), step_bytes=st.integers(1, 20), budget=st.integers(1, 250)
)
def test_no_plan_has_fewer_levels_and_none_fits_what_is_refused(
    steps: int, carry_bytes: int, step_bytes: int, budget: int
) -> None:
    fitting = [
        levels
        for levels in range(1, 7)
        # Four lengths of at most 3 reach 24 steps, and longer ones keep no less.
        for lengths in itertools.product(range(1, (steps if levels < 4 else 3) + 1), repeat=levels)
        if math.prod(lengths) >= steps and kept(lengths, carry_bytes, step_bytes) <= budget
    ]
    lengths = plan_or_none(steps, carry_bytes, step_bytes, budget)
    assert (None if lengths is None else len(lengths)) == min(fitting, default=None)


@pytest.mark.parametrize(
    ("steps", "budget", "expected"),
    [
        (300, 600, (300,)),
        (300, 599, (25, 12)),
        # The least memory of two levels, then of three.
        (300, 49, (25, 12)),
        (300, 48, (6, 10, 5)),
        # A prime takes a step more.
        (307, 613, (22, 14)),
        (5, 7, (5, 1)),
    ],
)
def test_what_is_chosen_where_a_step_keeps_twice_what_it_starts_from(
    steps: int, budget: int, expected: tuple[int, ...]
) -> None:
    assert segment_lengths(steps, carry_bytes=1, step_bytes=2, budget=budget) == expected


@given(steps=st.integers(64, 3000), step_units=st.integers(1, 4))
def test_a_prime_costs_few_steps_more(steps: int, step_units: int) -> None:
    """Two levels, at the tightest budget that they fit: half of the waste that sqrt(T) segments could have."""
    least = min(n + -(-steps // n) * step_units for n in range(2, steps + 1))
    lengths = segment_lengths(steps, carry_bytes=1, step_bytes=step_units, budget=2 * least)
    assert len(lengths) in (1, 2)
    assert math.prod(lengths) <= 1.05 * steps


def test_the_least_memory_grows_with_the_logarithm() -> None:
    for exponent in range(1, 13):
        with pytest.raises(ArgumentError) as error:
            segment_lengths(2**exponent, carry_bytes=1, step_bytes=1, budget=0)
        least = int(str(error.value).split("at least ")[1].split(" ")[0])
        assert least <= 2 * exponent
        assert plan_or_none(2**exponent, 1, 1, least) is not None
        assert plan_or_none(2**exponent, 1, 1, least - 1) is None


def test_what_is_refused_says_what_would_do() -> None:
    message = (
        r"Argument `memory_budget` must be at least 7,000 bytes for 5 steps that keep 2,000 bytes each, but was 10 "
    )
    with pytest.raises(ArgumentError, match=message):
        segment_lengths(5, carry_bytes=1000, step_bytes=2000, budget=10)


def test_the_default_is_a_share_of_the_machine_and_never_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: 400)
    assert segment_lengths(100, carry_bytes=1, step_bytes=1, budget=None) == (100,)
    assert len(segment_lengths(101, carry_bytes=1, step_bytes=1, budget=None)) == 2
    # As little as is possible, which the machine may have even so.
    lengths = segment_lengths(100, carry_bytes=1000, step_bytes=1000, budget=None)
    assert plan_or_none(100, 1000, 1000, kept(lengths, 1000, 1000) - 1) is None
    assert DEFAULT_SHARE == 0.25


def test_this_machine_has_memory() -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**26 < machine_memory() <= max(physical, *(_bytes_limits() or [0]))


def _bytes_limits() -> list[int]:
    return [(device.memory_stats() or {}).get("bytes_limit", 0) for device in jax.local_devices()]


class FakeDevice:
    def __init__(self, statistics: dict[str, int] | None) -> None:
        self.statistics = statistics

    def memory_stats(self) -> dict[str, int] | None:
        return self.statistics


def test_an_accelerator_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "local_devices", lambda: [FakeDevice({"bytes_limit": 12345, "bytes_in_use": 1})])
    assert machine_memory() == 12345


def test_a_control_group_holds_the_machine_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "local_devices", lambda: [FakeDevice(None)])
    monkeypatch.setattr(machine, "_physical_memory", lambda: 1000)
    for limits, expected in (([], 1000), ([2000], 1000), ([2000, 300, 500], 300)):
        monkeypatch.setattr(machine, "_control_group_limits", lambda _, limits=limits: iter(limits))
        assert machine_memory() == expected


def test_a_system_that_does_not_tell_is_taken_for_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert machine._physical_memory() == UNKNOWN_MEMORY


# What /proc/self/cgroup says, the files that are there, and the limits that are found.
GROUPS: dict[str, tuple[str | None, dict[str, str], list[int]]] = {
    "no control groups": (None, {}, []),
    "version 2": (
        "0::/user/job\n",
        {"user/job/memory.max": "3000\n", "user/memory.max": "max\n", "memory.max": "9000\n"},
        [3000, 9000],
    ),
    "version 2, in a container": ("0::/\n", {"memory.max": "3000\n"}, [3000]),
    "version 2, no limit": ("0::/\n", {"memory.max": "max\n"}, []),
    "version 1": (
        "5:cpu,cpuacct:/\n4:memory:/job\n0::/\n",
        {"memory/job/memory.limit_in_bytes": "500\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"},
        [500, 9223372036854771712],
    ),
    "version 1, in a container with its host's path": (
        "4:memory:/docker/1a2b\n",
        {"memory/memory.limit_in_bytes": "700\n"},
        [700],
    ),
}


@pytest.mark.parametrize(("groups", "files", "expected"), GROUPS.values(), ids=GROUPS.keys())
def test_limits_of_control_groups(
    groups: str | None, files: dict[str, str], expected: list[int], tmp_path: Path
) -> None:
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(machine._control_group_limits(tmp_path)) == expected
