"""How devices are shared out: by the estimate of an iteration."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from qdistill.distill.cores import ALONE, Spread
from qdistill.distill.sharing import _CPU, Work, share_out
from qdistill.models import LeNetArchitecture, structure

LENET = Work(operations=1.2e6, weight_bytes=240_000, steps=10, examples=10, real=128)
SMALL = Work(operations=1e3, weight_bytes=200, steps=10, examples=10, real=128)
"""A circuit of a few qubits."""


def test_the_operations_are_those_of_the_forward_pass() -> None:
    model = structure(LeNetArchitecture(), (32, 32, 1), 10)
    work = Work.of(model, (32, 32, 1), steps=10, examples=10, real=128)
    # C1 14x14 windows of 36 by 24, C2 5x5 of 216 by 64, F1 to F3: multiplications and additions.
    products = 2 * (14 * 14 * 36 * 24 + 5 * 5 * 216 * 64 + 400 * 120 + 120 * 64 + 64 * 10)
    assert work.operations == pytest.approx(products, rel=0.1)
    assert work.weight_bytes == 4 * sum(leaf.size for leaf in jax.tree.leaves(model))


def test_a_small_network_stays_alone() -> None:
    assert share_out(SMALL, 8) == (1, ALONE)


@pytest.mark.parametrize("n_devices", [2, 3, 4, 8, 64])
def test_more_devices_are_never_slower(n_devices: int) -> None:
    for work in (LENET, SMALL, dataclasses.replace(LENET, examples=0), dataclasses.replace(LENET, networks=6)):
        at_once, spread = share_out(work, n_devices)
        assert at_once == 1
        assert spread.n_devices <= n_devices
        assert spread == ALONE or work.seconds(spread, _CPU) < 0.9 * work.seconds(ALONE, _CPU)


def test_two_devices_share_the_steps_of_a_lenet() -> None:
    assert share_out(LENET, 2) == (1, Spread(training=2))


def test_a_training_in_closed_form_is_repeated_and_the_real_inputs_shared() -> None:
    kernel = Work(operations=1e7, weight_bytes=100, steps=1, examples=0, real=256)
    assert share_out(kernel, 4) == (1, Spread(real=4))


def test_networks_are_shared_first() -> None:
    assert share_out(dataclasses.replace(LENET, networks=4), 2) == (1, Spread(networks=2))
    assert share_out(dataclasses.replace(LENET, networks=2), 4) == (1, Spread(networks=2, training=2))
    assert share_out(dataclasses.replace(LENET, networks=3), 2) == (1, Spread(training=2))


def test_runs_side_by_side_have_devices_of_their_own_first() -> None:
    assert share_out(LENET, 2, 8) == (2, ALONE)
    assert share_out(LENET, 8, 2) == (2, Spread(training=4))
    # Three runs on two devices: one after the other on both, instead of two and then one alone.
    at_once, spread = share_out(LENET, 2, 3)
    assert at_once * spread.n_devices == 2


def test_all_devices_are_taken_where_that_is_asked_for() -> None:
    for n_devices in (1, 2, 3, 7):
        assert share_out(SMALL, n_devices, all_devices=True)[1].n_devices == n_devices
