"""A noisy circuit as a few real matrices, each on at most three wires, and its exact action.

In terms of Pauli expectation values (see `channels`) a rotation of one wire is a 4x4 matrix, a CNOT with its noise a
16x16 one, and neighbours in a circuit multiply to one 64x64 matrix on three wires: the strongly entangling layers on
six wires are ten or so of those. An observable goes backwards through them, by the transposes, in as much arithmetic as
64 columns of gates on a state, whatever the number of images: the noise of a shared circuit costs nothing an image.
A state goes forwards, which serves where its preparation is noisy or there are fewer states than observables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from qdistill.errors import CircuitError
from qdistill.quantum.angle import Angle
from qdistill.quantum.angle_table import AngleTable
from qdistill.quantum.channels import gate_noise, of_unitary
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.device import DeviceModel
from qdistill.quantum.elementary import as_rot, elementary
from qdistill.quantum.gates import GATES
from qdistill.quantum.simulate import angles_of

GROUP = 3
"""Wires of a block: the product of 64x64 matrices is where a processor core multiplies at full speed."""


@dataclass(frozen=True, eq=False)
class Block:
    """A matrix on some wires: ``constants[-1] R_(-1) ... constants[0] R_0``, R the product of one rotation a wire.

    Args:
        wires: at most `GROUP` of them.
        rotations: for each R and wire the number of the rotation; -1 is none.
        constants: (4^k, 4^k) each.
    """

    wires: tuple[int, ...]
    rotations: tuple[tuple[int, ...], ...]
    constants: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class NoisyCircuit:
    """The blocks of a circuit in order, and the table of its rotations' angles."""

    n_wires: int
    blocks: tuple[Block, ...]
    angles: AngleTable


@dataclass
class _Stage:
    """One product of rotations and the constants after it, while it is being filled."""

    rotations: dict[int, int] = field(default_factory=dict)
    constants: list[tuple[np.ndarray, tuple[int, ...]]] = field(default_factory=list)

    def is_free(self, wire: int) -> bool:
        """Whether a rotation of the wire can still be the first thing that happens to it."""
        return wire not in self.rotations and not any(wire in wires for _, wires in self.constants)


@dataclass
class _Block:
    wires: list[int]
    stages: list[_Stage] = field(default_factory=lambda: [_Stage()])

    def add(self, wires: Sequence[int]) -> None:
        self.wires += [wire for wire in wires if wire not in self.wires]

    def rotate(self, number: int, wire: int, noise: np.ndarray) -> None:
        if not self.stages[-1].is_free(wire):
            self.stages.append(_Stage())
        self.stages[-1].rotations[wire] = number
        self.stages[-1].constants.append((noise, (wire,)))

    def finish(self) -> Block:
        wires = tuple(self.wires)
        constants = []
        for stage in self.stages:
            product = np.eye(4 ** len(wires))
            for matrix, place in stage.constants:
                product = _on_rows(matrix, [wires.index(wire) for wire in place], product)
            constants.append(product)
        rotations = tuple(tuple(stage.rotations.get(wire, -1) for wire in wires) for stage in self.stages)
        return Block(wires, rotations, tuple(constants))


def _on_rows(matrix: np.ndarray, wires: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """Multiply a matrix on some of a block's wires from the left."""
    n, k = (len(rows).bit_length() - 1) // 2, len(wires)
    tensor = np.moveaxis(rows.reshape((4,) * n + (-1,)), wires, range(k))
    tensor = (matrix @ tensor.reshape(4**k, -1)).reshape(tensor.shape)
    product: np.ndarray = np.moveaxis(tensor, range(k), wires).reshape(rows.shape)
    return product


def native(circuit: Circuit) -> Circuit:
    """The circuit in rotations, CNOT and CZ, which are what a device's errors are given for.

    Controlled rotations become two CNOTs and rotations (see `elementary`), a SWAP three CNOTs.
    """
    operations: list[Operation] = []
    for operation in (part for whole in circuit.operations for part in elementary(whole)):
        if operation.gate == "SWAP":
            first, second = operation.wires
            operations += [Operation("CNOT", wires) for wires in ((first, second), (second, first), (first, second))]
        else:
            operations.append(operation)
    return Circuit(circuit.n_wires, tuple(operations))


@lru_cache(maxsize=64)
def compile_noisy(circuit: Circuit, device: DeviceModel) -> NoisyCircuit:
    """Fuse a circuit on a device into blocks.

    A two-wire gate joins the last block that has one of its wires where there is room, or else a later one, or else
    opens one; rotations wait for the next two-wire gate of their wire.

    Args:
        circuit: its wire i is the device's.
        device: every gate of `native` is followed by its noise.

    Raises:
        CircuitError: the circuit has more wires than the device.
    """
    if circuit.n_wires > device.n_wires:
        raise CircuitError(
            f"Argument `device` must have at least the circuit's {circuit.n_wires} wires, but {device.name!r} has "
            f"{device.n_wires}."
        )
    blocks: list[_Block] = []
    rotations: list[tuple[Angle, Angle, Angle]] = []
    waiting: dict[int, list[int]] = {}

    def last(wires: Sequence[int]) -> int:
        return max((i for i, block in enumerate(blocks) if set(block.wires) & set(wires)), default=0)

    def place(wires: Sequence[int]) -> _Block:
        for block in blocks[last(wires) :]:
            if len({*block.wires, *wires}) <= GROUP:
                break
        else:
            block = _Block([])
            blocks.append(block)
        block.add(wires)
        for wire in wires:
            for number in waiting.pop(wire, []):
                block.rotate(number, wire, gate_noise(device, (wire,)))
        return block

    for operation in native(circuit).operations:
        wires = operation.wires
        if len(wires) == 1:
            waiting.setdefault(wires[0], []).append(len(rotations))
            rotations.append(as_rot(operation)[1])
        else:
            matrix = gate_noise(device, wires) @ of_unitary(GATES[operation.gate].matrix())
            place(wires).stages[-1].constants.append((matrix, wires))
    for wire in list(waiting):
        place((wire,))
    angles = [angle for triple in rotations for angle in triple]
    table = AngleTable.of(angles, (len(rotations), 1, 1, 3))
    return NoisyCircuit(circuit.n_wires, tuple(block.finish() for block in blocks), table)


def _rotation_transfers(angles: Float[Array, "rotations 3"]) -> Float[Array, "rotations 4 4"]:
    """The turn of the Bloch sphere by RZ(omega) RY(theta) RZ(phi), with the identity before it."""
    (c1, c2, c3), (s1, s2, s3) = jnp.cos(angles).T, jnp.sin(angles).T
    zero, one = jnp.zeros_like(c1), jnp.ones_like(c1)
    entries = [
        *(one, zero, zero, zero),
        *(zero, c3 * c2 * c1 - s3 * s1, -c3 * c2 * s1 - s3 * c1, c3 * s2),
        *(zero, s3 * c2 * c1 + c3 * s1, c3 * c1 - s3 * c2 * s1, s3 * s2),
        *(zero, -s2 * c1, s2 * s1, c2),
    ]
    return jnp.stack(entries, axis=-1).reshape(-1, 4, 4)


def _block_matrices(
    noisy: NoisyCircuit, weights: Float[Array, " weights"], features: Float[Array, " features"] | None
) -> list[Float[Array, "rows columns"]]:
    if not noisy.blocks:
        return []
    dtype = weights.dtype if features is None else jnp.result_type(weights, features)
    transfers = jnp.eye(4, dtype=dtype)[None]
    if len(noisy.angles.offset):
        turned = _rotation_transfers(angles_of(noisy.angles, weights, features).reshape(-1, 3))
        transfers = jnp.concatenate([turned.astype(dtype), transfers])
    matrices = []
    for block in noisy.blocks:
        product = None
        for numbers, constant in zip(block.rotations, block.constants, strict=True):
            stage = jnp.asarray(constant, dtype)
            if any(number >= 0 for number in numbers):
                turn = transfers[numbers[0]]
                for number in numbers[1:]:
                    size = 4 * len(turn)
                    turn = (turn[:, None, :, None] * transfers[number][:, None, :]).reshape(size, size)
                stage = stage @ turn
            product = stage if product is None else stage @ product
        assert product is not None
        matrices.append(product)
    return matrices


def _apply(n_wires: int, steps: Sequence[tuple[tuple[int, ...], Array]], vectors: Array) -> Array:
    """Multiply matrices on some wires each, in order, to vectors (4^n, columns)."""
    columns = vectors.shape[1:]
    order = list(range(n_wires))
    tensor = vectors.reshape((4,) * n_wires + (-1,))
    for wires, matrix in steps:
        # The wires in use come to the front and stay there: they are put back in their order once, at the end.
        wanted = [*wires, *(wire for wire in order if wire not in wires)]
        tensor = jnp.transpose(tensor, [*(order.index(wire) for wire in wanted), n_wires])
        tensor = (matrix @ tensor.reshape(len(matrix), -1)).reshape(tensor.shape)
        order = wanted
    return jnp.transpose(tensor, [*(order.index(wire) for wire in range(n_wires)), n_wires]).reshape(-1, *columns)


def evolve_states(
    noisy: NoisyCircuit,
    weights: Float[Array, " weights"],
    states: Float[Array, "paulis *columns"],
    features: Float[Array, " features"] | None = None,
) -> Float[Array, "paulis *columns"]:
    """The Pauli expectation values after a noisy circuit from those before it."""
    matrices = _block_matrices(noisy, weights, features)
    steps = [(block.wires, matrix) for block, matrix in zip(noisy.blocks, matrices, strict=True)]
    return _apply(noisy.n_wires, steps, states)


@dataclass(frozen=True)
class LocalObservables:
    """Observables on some wires.

    Args:
        wires: k different ones.
        coefficients: of the 4^k Pauli strings on them, (4^k, columns).
    """

    wires: tuple[int, ...]
    coefficients: Float[Array, "paulis columns"]

    def on(self, wires: Sequence[int]) -> LocalObservables:
        """The same observables, written on these wires in this order, which include their own."""
        added = [wire for wire in wires if wire not in self.wires]
        shape, before = (4,) * len(self.wires), (*self.wires, *added)
        tensor = self.coefficients.reshape(shape + (1,) * len(added) + (-1,))
        # On the wires that are new they have the letter I, the first.
        tensor = jnp.pad(tensor, [(0, 0)] * len(shape) + [(0, 3)] * len(added) + [(0, 0)])
        tensor = jnp.transpose(tensor, [*(before.index(wire) for wire in wires), len(before)])
        return LocalObservables(tuple(wires), tensor.reshape(4 ** len(wires), -1))


def evolve_observables(
    noisy: NoisyCircuit,
    weights: Float[Array, " weights"],
    observables: Sequence[LocalObservables],
    features: Float[Array, " features"] | None = None,
) -> Float[Array, "paulis columns"]:
    """The Pauli coefficients, before a noisy circuit, of what is measured after it.

    Each observable is kept on the wires that it has reached: a block elsewhere leaves it as it is, since the channels
    keep the identity.

    Args:
        noisy: the circuit.
        weights: the flat weight vector.
        observables: what is measured.
        features: needed only where the circuit itself uses features as angles.

    Returns:
        On all wires, (4^n, columns of all observables).
    """
    matrices = _block_matrices(noisy, weights, features)
    starts = np.cumsum([0, *(part.coefficients.shape[1] for part in observables)])
    # With each part the numbers of its columns, for parts that meet are joined.
    parts = [(part, np.arange(first, last)) for part, first, last in zip(observables, starts, starts[1:], strict=False)]
    for block, matrix in zip(reversed(noisy.blocks), reversed(matrices), strict=True):
        joined: dict[frozenset[int], tuple[LocalObservables, np.ndarray]] = {}
        for part, columns in parts:
            moved = part
            if set(part.wires) & set(block.wires):
                rest = [wire for wire in part.wires if wire not in block.wires]
                placed = part.on((*block.wires, *rest))
                image = matrix.T @ placed.coefficients.reshape(len(matrix), -1)
                moved = LocalObservables(placed.wires, image.reshape(placed.coefficients.shape))
            same = joined.get(frozenset(moved.wires))
            if same is not None:
                both = [same[0].coefficients, moved.on(same[0].wires).coefficients]
                moved = LocalObservables(same[0].wires, jnp.concatenate(both, axis=1))
                columns = np.concatenate([same[1], columns])
            joined[frozenset(moved.wires)] = (moved, columns)
        parts = list(joined.values())
    everywhere = jnp.concatenate([part.on(range(noisy.n_wires)).coefficients for part, _ in parts], axis=1)
    order = np.argsort(np.concatenate([columns for _, columns in parts])).astype(np.int32)
    return everywhere if (order == np.arange(len(order))).all() else everywhere[:, order]


# With V = iY, which is real, a Pauli string with m letters Y is (-i)^m times a real matrix, antisymmetric for odd m.
_REAL_LETTERS = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, -1, 0], [1, 0, 0, -1]], dtype=float)


@lru_cache
def _phases(n_wires: int) -> tuple[np.ndarray, np.ndarray]:
    """For every Pauli string S the sign s in ``tr(S rho) = s sum_ij R_ij part(rho)_ij``, R its real matrix.

    The first are those of strings with an even number of Y, which meet the real part of rho, the second those of the
    others, which meet its imaginary part; zero elsewhere.
    """
    letters = np.indices((4,) * n_wires).reshape(n_wires, -1)
    count = (letters == 2).sum(axis=0)
    return np.where(count % 2 == 0, 1.0 - count % 4, 0.0), np.where(count % 2 == 1, count % 4 - 2.0, 0.0)


def _pairs_first(n_wires: int) -> list[int]:
    """The axes of a 2^n x 2^n matrix with each wire's row and column side by side."""
    return [axis for wire in range(n_wires) for axis in (wire, n_wires + wire)]


def _by_wire(letters: np.ndarray, vectors: Array, n_wires: int) -> Array:
    steps = []
    for first in range(0, n_wires, GROUP):
        wires = tuple(range(first, min(first + GROUP, n_wires)))
        matrix = np.eye(1)
        for _ in wires:
            matrix = np.kron(matrix, letters)
        steps.append((wires, jnp.asarray(matrix, vectors.dtype)))
    return _apply(n_wires, steps, vectors)


def pauli_values(state: Inexact[Array, " amplitudes"]) -> Float[Array, " paulis"]:
    """The expectation values of all 4^n Pauli strings in a pure state, which need not have norm 1."""
    n = state.size.bit_length() - 1
    even, odd = _phases(n)

    def part(density: Array, signs: np.ndarray) -> Array:
        tensor = jnp.transpose(density.reshape((2,) * (2 * n)), _pairs_first(n)).reshape(-1)
        return jnp.asarray(signs, density.dtype) * _by_wire(_REAL_LETTERS, tensor, n)

    real, imaginary = state.real, state.imag
    if not jnp.iscomplexobj(state):
        return part(jnp.outer(real, real), even)
    both = jnp.outer(real, real) + jnp.outer(imaginary, imaginary)
    return part(both, even) + part(jnp.outer(imaginary, real) - jnp.outer(real, imaginary), odd)


def quadratic_forms(observables: Float[Array, "paulis outputs"]) -> Float[Array, "amplitudes outputs amplitudes"]:
    """The symmetric matrices of `heisenberg.quadratic_values`: ``x^T M_k x`` is the value in a real state x."""
    n = (len(observables).bit_length() - 1) // 2
    even = jnp.asarray(_phases(n)[0], observables.dtype)[:, None]
    tensor = _by_wire(_REAL_LETTERS.T, even * observables, n).reshape((2,) * (2 * n) + (-1,))
    rows, columns = list(range(0, 2 * n, 2)), list(range(1, 2 * n, 2))
    return jnp.transpose(tensor, [*rows, 2 * n, *columns]).reshape(2**n, -1, 2**n)
