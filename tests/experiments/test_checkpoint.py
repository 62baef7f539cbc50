"""Checkpoints: every bit comes back, and what is damaged or does not fit is named."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from qdistill.distill.outer_state import Learned, OuterState
from qdistill.errors import RunError
from qdistill.experiments import checkpoint
from qdistill.experiments.checkpoint import Belonging, load_checkpoint, read_belonging
from qdistill.experiments.provenance import Change


def make_state(seed: int = 0, *, steps: int = 3, optimiser: Any = None) -> OuterState:
    """A state with different numbers everywhere, zeros of both signs, infinities and subnormal numbers among them."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        values = generator.normal(size=shape).astype(np.float32)
        values.flat[:4] = [-0.0, np.inf, 1e-42, -1.0][: values.size]
        return jnp.asarray(values)

    def learned() -> Learned:
        return Learned(draw(4, 3, 3, 1), draw(4, 2), draw(steps, 1))

    state = learned()
    return OuterState(
        iteration=jnp.asarray(12, jnp.int32),
        learned=state,
        averaged=learned(),
        optimiser=jax.tree.map(
            lambda leaf: leaf + 1, (optimiser or optax.adam(optax.cosine_decay_schedule(0.1, 9))).init(state)
        ),
        norm=jnp.asarray(1.5, jnp.float32),
        rejected=jnp.asarray(1, jnp.int32),
        rejected_total=jnp.asarray(7, jnp.int32),
        best=learned(),
        best_accuracy=jnp.asarray(0.25, jnp.float32),
        best_iteration=jnp.asarray(10, jnp.int32),
    )


def bits(state: OuterState) -> list[tuple[Any, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(key, leaf.dtype, leaf.shape, leaf.weak_type, np.asarray(leaf).tobytes()) for key, leaf in leaves]


BELONGING = Belonging(
    {"seed": 3, "outer": {"iterations": 9}, "model": {"name": "Own", "fields": {"width": 2}}},
    "sha256:00",
    None,
    (Change(4, "outer.iterations", 6, 9),),
)


def save_checkpoint(path: Path, state: OuterState) -> None:
    checkpoint.save_checkpoint(path, state, BELONGING)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "latest.safetensors"


@pytest.mark.parametrize("optimiser", [optax.adam(0.1), optax.sgd(0.1), optax.lion(0.1), optax.sgd(0.1, momentum=0.9)])
def test_every_bit_comes_back(path: Path, optimiser: Any) -> None:
    state = make_state(optimiser=optimiser)
    save_checkpoint(path, state)
    restored = load_checkpoint(path, make_state(seed=1, optimiser=optimiser))
    assert bits(restored) == bits(state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert os.listdir(path.parent) == [path.name]


def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(path: Path) -> None:
    for seed in (0, 1):
        save_checkpoint(path, make_state(seed))
    assert bits(load_checkpoint(path, make_state())) == bits(make_state(1))


def test_a_missing_checkpoint_is_named(path: Path) -> None:
    with pytest.raises(RunError, match=r"Cannot read the checkpoint .*latest\.safetensors"):
        load_checkpoint(path, make_state())


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 0.5, -1])
def test_a_truncated_checkpoint_is_named(path: Path, kept: float) -> None:
    save_checkpoint(path, make_state())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(RunError, match=r"Cannot read the checkpoint .*latest\.safetensors"):
        load_checkpoint(path, make_state())


@pytest.mark.parametrize("content", [b"\0" * 1000, b"\xff" * 1000, b"PK\3\4" * 300, b"{}"])
def test_a_file_of_another_kind_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RunError, match="Cannot read the checkpoint"):
        load_checkpoint(path, make_state())


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RunError, match="Cannot read the checkpoint"):
        load_checkpoint(path, make_state())


def test_a_checkpoint_of_another_recipe_is_named(path: Path) -> None:
    save_checkpoint(path, make_state())
    with pytest.raises(RunError, match=r"is of another recipe: learned\.raw_step_sizes does not fit"):
        load_checkpoint(path, make_state(steps=4))
    with pytest.raises(RunError, match=r"is of another recipe: optimiser\.0\.trace"):
        load_checkpoint(path, make_state(optimiser=optax.sgd(0.1, momentum=0.9)))


def test_a_checkpoint_without_an_array_or_with_one_of_another_type_is_named(path: Path) -> None:
    save_checkpoint(path, make_state())
    arrays, metadata = load_file(path), {"format": "qdistill-checkpoint"}
    save_file({name: array for name, array in arrays.items() if name != "best_accuracy"}, path, metadata)
    with pytest.raises(RunError, match="best_accuracy does not fit"):
        load_checkpoint(path, make_state())
    save_file(arrays | {"learned.labels": arrays["learned.labels"].astype(np.float64)}, path, metadata)
    with pytest.raises(RunError, match=r"learned\.labels does not fit"):
        load_checkpoint(path, make_state())


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    save_checkpoint(path, make_state(0))

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(RunError, match=r"Cannot write .*latest\.safetensors: No space left on device"):
            save_checkpoint(path, make_state(1))
    assert bits(load_checkpoint(path, make_state())) == bits(make_state(0))
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(RunError, match=r"Cannot write .*: No such file or directory"):
        save_checkpoint(path.parent / "gone" / path.name, make_state())


def test_a_state_of_the_same_form_is_all_that_is_needed(path: Path) -> None:
    state = make_state()
    save_checkpoint(path, state)
    blank = eqx.tree_at(lambda s: s.learned, state, jax.tree.map(jnp.zeros_like, state.learned))
    assert bits(load_checkpoint(path, dataclasses.replace(blank, iteration=jnp.zeros((), jnp.int32)))) == bits(state)


def test_what_a_state_belongs_to_comes_back(path: Path) -> None:
    save_checkpoint(path, make_state())
    assert read_belonging(path) == BELONGING


def test_what_is_another_is_told_by_name() -> None:
    other = Belonging(
        {"seed": 4, "outer": {"iterations": 9}, "model": {"name": "Own", "fields": {"width": 5}}}, "x", "y"
    )
    assert BELONGING.differences(BELONGING) == {}
    assert other.differences(BELONGING) == {
        "seed": (4, 3), "model.width": (5, 2), "data": ("x", "sha256:00"), "device": ("y", None),
    }  # fmt: skip


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_of_a_checkpoint_can_turn_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("turned") / "latest.safetensors"
    save_checkpoint(path, make_state())
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(RunError, match="checkpoint"):
        load_checkpoint(path, make_state())
