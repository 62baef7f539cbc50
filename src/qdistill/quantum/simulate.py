"""The exact meaning of a circuit in JAX: unitary and state.

States are vectors of 2^n amplitudes, wire 0 the most significant bit. Everything is written for one state,
differentiable to any order, and batches under `jax.vmap`. The precision is that of the arguments: float32
weights give complex64 states, float64 weights (with `jax_enable_x64`) complex128.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real, real_or_complex
from qdistill.quantum.angle import Angle
from qdistill.quantum.angle_table import AngleTable, Products
from qdistill.quantum.bounds import check_matrices, check_states
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.lowering import Moments, Phases, lower
from qdistill.quantum.moments import GROUP, n_moments

FEW_WIRES = 7
"""Wires up to which rotations that read features, and so are other matrices for each state of a batch, are applied one
by one. Measured with batches of 32 to 1,024: up to six times faster on four wires, and half as fast on twelve."""

UNROLL = 4
"""Moments unrolled in the scan over them: faster than a plain scan, and deep circuits compile no longer."""


def _unstack(array: Array, axis: int) -> list[Array]:
    """The parts along an axis. Cut in one operation, whose derivative is one concatenation and not a sum of parts."""
    parts = jax.lax.split(array, (1,) * array.shape[axis], axis % array.ndim)
    return [jnp.squeeze(part, axis) for part in parts]


def values_of_angles(
    angles: tuple[Angle, ...], weights: Float[Array, " weights"], features: Float[Array, " features"]
) -> Float[Array, " angles"]:
    """Each angle in radians.

    Args:
        angles: in any number, each any polynomial.
        weights: the flat weight vector.
        features: one feature vector.
    """
    return angles_of(_flat_table(angles), weights, features)


@lru_cache(maxsize=64)
def _flat_table(angles: tuple[Angle, ...]) -> AngleTable:
    return AngleTable.of(angles, (len(angles),))


def angles_of(
    table: AngleTable, weights: Float[Array, " weights"], features: Float[Array, " features"] | None
) -> Float[Array, "..."]:
    """The angles of a table, in radians.

    Raises:
        CircuitError: too few weights or features, of which JAX would take the last instead.
    """
    for name, values, least in (("weights", weights, table.n_weights), ("features", features, table.n_features)):
        _check_size(name, 0 if values is None else values.size, least)
    angles = jnp.asarray(table.offset, weights.dtype)
    for source, scale, index in (
        (weights, table.weight_scale, table.weight_index),
        (features, table.feature_scale, table.feature_index),
    ):
        if source is None or not scale.any():
            continue
        in_order = index.size == source.size and (index.ravel() == np.arange(index.size)).all()
        picked = source.reshape(index.shape) if in_order else source[index]
        angles = angles + (picked if (scale == 1).all() else jnp.asarray(scale, weights.dtype) * picked)
    if table.products is None:
        return angles
    added = _values_of_products(table.products, weights, features)
    flat = angles.reshape(-1).astype(jnp.result_type(angles, added))
    return flat.at[table.products.place].add(added).reshape(angles.shape)


def _values_of_products(
    products: Products, weights: Float[Array, " weights"], features: Float[Array, " features"] | None
) -> Float[Array, " terms"]:
    values = jnp.asarray(products.coefficient, weights.dtype)
    for source, index in ((weights, products.weight_index), (features, products.feature_index)):
        if source is None:
            continue
        padded = jnp.concatenate([jnp.ones(1, source.dtype), source])
        # Factor by factor: the derivatives of a product along an axis would be cumulative products.
        for factors in index.T:
            values = values * padded[factors]
    return values


def rot(angles: Float[Array, "*axes 3"]) -> Complex[Array, "*axes 2 2"]:
    """RZ(omega) RY(theta) RZ(phi)."""
    phi, theta, omega = _unstack(0.5 * angles, axis=-1)
    # The sines and cosines of three angles, and not of one an entry: derivatives of a fused expression repeat them.
    three = jnp.stack([theta, omega + phi, omega - phi])
    (cos, cos_sum, cos_difference), (sin, sin_sum, sin_difference) = (
        _unstack(values, axis=0) for values in (jnp.cos(three), jnp.sin(three))
    )
    diagonal, off_diagonal = cos * cos_sum, sin * cos_difference
    diagonal_phase, off_diagonal_phase = cos * sin_sum, sin * sin_difference
    real = jnp.stack([diagonal, -off_diagonal, off_diagonal, diagonal], axis=-1)
    imaginary = jnp.stack([-diagonal_phase, off_diagonal_phase, off_diagonal_phase, diagonal_phase], axis=-1)
    return jax.lax.complex(real, imaginary).reshape(*angles.shape[:-1], 2, 2)


def _wire_unitaries(
    moments: Moments, weights: Float[Array, " weights"], features: Float[Array, " features"] | None
) -> Complex[Array, "moments wires 2 2"]:
    rots = rot(angles_of(moments.angles, weights, features))
    product = rots[:, 0]
    for level in range(1, rots.shape[1]):
        product = rots[:, level] @ product
    return product


def _kron(wires: Sequence[Complex[Array, "*axes 2 2"]]) -> Complex[Array, "*axes dim dim"]:
    product = wires[0]
    for matrix in wires[1:]:
        size = 2 * product.shape[-1]
        product = product[..., :, None, :, None] * matrix[..., None, :, None, :]
        product = product.reshape(*product.shape[:-4], size, size)
    return product


def fuse(unitaries: Complex[Array, "*moments wires 2 2"]) -> list[Complex[Array, "*moments _ _"]]:
    """One matrix for every group of `GROUP` neighbouring wires, the last group taking what is left."""
    n = unitaries.shape[-3]
    whole = n - n % GROUP
    fused = []
    if whole:
        grouped = unitaries[..., :whole, :, :].reshape(*unitaries.shape[:-3], -1, GROUP, 2, 2)
        fused += _unstack(_kron(_unstack(grouped, axis=-3)), axis=-3)
    if n % GROUP:
        fused.append(_kron(_unstack(unitaries[..., whole:, :, :], axis=-3)))
    return fused


def apply_local(
    fused: Sequence[Complex[Array, "_ _"]], state: Inexact[Array, "amplitudes *columns"]
) -> Complex[Array, "amplitudes *columns"]:
    """Apply one matrix to each group of wires, as `fuse` gives them."""
    shape = state.shape
    for matrix in fused:
        axes = (matrix.shape[0], shape[0] // matrix.shape[0], *shape[1:])
        # The wires just treated go to the back, so that the next group is in front again.
        state = jnp.einsum("ij,jk...->ki...", matrix, state.reshape(axes)).reshape(shape)
    return state


def apply_each(
    unitaries: Sequence[Complex[Array, "2 2"]], state: Inexact[Array, " amplitudes"]
) -> Complex[Array, " amplitudes"]:
    """Apply one matrix to each wire, as one loop: in XLA that is faster than a batch of products of small matrices."""
    for matrix in unitaries:
        split = state.reshape(2, -1)
        # The wire just treated goes to the back, so that the next one is in front again.
        state = jnp.sum(matrix.T[:, None, :] * split[:, :, None], axis=0).reshape(state.shape)
    return state


def apply(
    circuit: Circuit, weights: Numbers, state: Numbers, features: Numbers | None = None
) -> Complex[Array, "amplitudes *columns"]:
    """Apply a circuit to a state, or to several given as columns.

    Args:
        circuit: the operations.
        weights: the flat weight vector, or the circuit's weights in another shape of the same C order; real.
        state: 2^n amplitudes, with any further axes.
        features: one real vector, needed only where the circuit itself uses features as angles.

    Returns:
        The state after the last operation, complex.

    Raises:
        ArgumentError: weights or features that are no real numbers, or a state of no numbers.
        CircuitError: too few weights or features, several vectors of them, or a state of another size.
    """
    n, size = circuit.n_wires, 2**circuit.n_wires
    weights = _as_vector("weights", weights, circuit.n_weights)
    features = _as_vector("features", jnp.zeros(0, weights.dtype) if features is None else features, circuit.n_features)
    start = real_or_complex("state", state)
    check_states(n, moments=n_moments(circuit))
    if not start.ndim or start.shape[0] != size:
        raise CircuitError(f"Argument `state` must have {size} amplitudes for {n} wires, but had shape {start.shape}.")
    start = start.astype(jnp.result_type(jnp.complex64, start, weights, features))
    precision = start.real.dtype
    weights, features = weights.astype(precision), features.astype(precision)
    moments = lower(circuit)
    if not moments.n_moments:
        return start
    unitaries = _wire_unitaries(moments, weights, features)
    one_by_one = bool(moments.angles.n_features) and n <= FEW_WIRES and start.ndim == 1
    groups = _unstack(unitaries, axis=1) if one_by_one else fuse(unitaries)
    monomials = (
        None if moments.permutations is None else jnp.asarray(moments.permutations),
        None if moments.signs is None else jnp.asarray(moments.signs),
        None if moments.phases is None else _phase_factors(moments.phases, weights, features),
    )

    def moment(state: Array, now: tuple[list[Array], tuple[Array | None, ...]]) -> tuple[Array, None]:
        groups, (permutation, changed, phases) = now
        state = apply_each(groups, state) if one_by_one else apply_local(groups, state)
        if permutation is not None:
            state = state.at[permutation].get(mode="promise_in_bounds", unique_indices=True)
        if changed is not None:
            state = state * changed.astype(state.real.dtype).reshape(size, *[1] * (state.ndim - 1))
        if phases is not None:
            state = state * phases.reshape(size, *[1] * (state.ndim - 1))
        return state, None

    final, _ = jax.lax.scan(moment, start, (groups, monomials), unroll=1 if one_by_one else UNROLL)
    return final if moments.global_phase == 1 else final * moments.global_phase


def _phase_factors(
    phases: Phases, weights: Float[Array, " weights"], features: Float[Array, " features"]
) -> Complex[Array, "moments amplitudes"]:
    """What the diagonal gates multiply the amplitudes with."""
    angles = -0.5 * angles_of(phases.angles, weights, features)
    first, second = (jnp.asarray(signs, angles.dtype) for signs in (phases.first, phases.second))
    turned = jnp.einsum("mp,mpa,mpb->mab", angles, first, second).reshape(len(angles), -1)
    return jax.lax.complex(jnp.cos(turned), jnp.sin(turned))


def _as_vector(name: str, values: Numbers, least: int) -> Float[Array, " numbers"]:
    """A vector of at least so many real numbers; exactly so many may have another shape."""
    numbers = real(name, values)
    if numbers.ndim != 1 and numbers.size != least:
        raise CircuitError(
            f"Argument `{name}` must be one vector of {least} numbers, but had shape {numbers.shape}. For several "
            "vectors use `jax.vmap`."
        )
    _check_size(name, numbers.size, least)
    return numbers.reshape(-1)


def _check_size(name: str, size: int, least: int) -> None:
    if size < least:
        raise CircuitError(f"Argument `{name}` must have at least {least} entries, but had {size}.")


def unitary(
    circuit: Circuit, weights: Numbers, features: Numbers | None = None
) -> Complex[Array, "amplitudes amplitudes"]:
    """The circuit's 2^n x 2^n matrix: its columns are the images of the basis states; arguments as for `apply`."""
    check_matrices(circuit.n_wires, count=4)
    return apply(circuit, weights, jnp.eye(2**circuit.n_wires, dtype=jnp.float32), features)
