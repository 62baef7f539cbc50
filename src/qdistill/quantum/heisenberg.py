"""Observables taken back through a circuit: the quadratic forms of a layer's outputs in real states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum.expectation import signs
from qdistill.quantum.observable import Hermitian, Observable, PauliSum, Terms
from qdistill.quantum.pauli_sums import sum_images, sum_values
from qdistill.quantum.paulis import pauli_compose
from qdistill.quantum.simulate import apply_local, fuse, rot

Groups = tuple[tuple[int, ...], ...]
OfParts = Callable[[Array, Array, Array], Float[Array, " outputs"]]
"""Takes the unitary, the observable's coefficients and a state."""


def heisenberg_values(whole: Array, observable: Observable, state: Float[Array, " amplitudes"]) -> Array:
    """The quadratic forms ``x^T Re(U^dagger H_k U) x`` of a real state."""
    if isinstance(observable, PauliSum):
        coefficients = observable.term_coefficients().astype(state.dtype)
        direct, forms = partial(_by_state, observable.terms), partial(_sum_forms, observable.terms)
        return _values(direct, forms, whole, coefficients, state)
    if isinstance(observable, Hermitian):
        coefficients = observable.pauli_coefficients()
    else:
        coefficients = jnp.tile(jnp.array([0.0, 0.0, 0.0, 1.0]), (observable.n_outputs, 1))
    groups = observable.wires
    direct, forms = partial(_by_eigenbasis, groups), partial(_hermitian_forms, groups)
    return _values(direct, forms, whole, coefficients.astype(state.dtype), state)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _values(direct: OfParts, forms: Callable[[Array, Array], Array], *parts: Array) -> Array:
    """The values, which alone need no quadratic forms; their derivatives are those of the forms."""
    return direct(*parts)


@_values.defjvp
def _values_jvp(
    direct: OfParts,
    forms: Callable[[Array, Array], Array],
    primals: tuple[Array, ...],
    tangents: tuple[Array, ...],
) -> tuple[Array, Array]:
    def by_forms(whole: Array, coefficients: Array, state: Array) -> Array:
        return quadratic_values(forms(whole, coefficients), state)

    values: tuple[Array, Array] = jax.jvp(by_forms, primals, tangents)
    return values


def _by_state(terms: Terms, whole: Array, coefficients: Array, state: Array) -> Array:
    """Pauli strings in the state after the circuit."""
    return sum_values(terms, coefficients, jax.lax.complex(whole.real @ state, whole.imag @ state))


def _by_eigenbasis(groups: Groups, whole: Array, coefficients: Array, state: Array) -> Array:
    """One setting, where every wire is measured in the eigenbasis of its Hermitian.

    That basis has no derivative where the Hermitian is a multiple of the identity. So derivatives never see it: they
    are those of the quadratic forms, which are smooth everywhere.
    """
    measured = [wire for group in groups for wire in group]
    if len(groups[0]) > 1 or len(set(measured)) < len(measured):
        return quadratic_values(_hermitian_forms(groups, whole, coefficients), state)
    n = whole.shape[0].bit_length() - 1
    x, y, z = coefficients[:, 1:].T
    across = jnp.hypot(x, y)
    # RY(-theta) RZ(-phi) turns the axis (theta, phi) of the Bloch sphere to Z; the wires not measured stay.
    angles = jnp.stack([-jnp.arctan2(y, x), -jnp.arctan2(across, z), jnp.zeros_like(x)], axis=-1)
    angles = jnp.zeros((n, 3), state.dtype).at[np.array(measured)].set(angles)
    rotated = apply_local(fuse(rot(angles)), whole)
    amplitudes = state @ jnp.concatenate([rotated.real, rotated.imag]).T
    signed = jnp.asarray(np.tile(signs(n)[measured].T, (2, 1)), state.dtype) * jnp.hypot(across, z)
    return coefficients[:, 0] * (state @ state) + amplitudes**2 @ signed


def _hermitian_forms(
    groups: Groups, whole: Array, coefficients: Array
) -> Float[Array, "amplitudes outputs amplitudes"]:
    size, n, k = whole.shape[0], whole.shape[0].bit_length() - 1, len(groups[0])
    tensor = whole.reshape((2,) * n + (size,))
    split = jnp.stack([jnp.moveaxis(tensor, group, range(k)).reshape(2**k, -1, size) for group in groups])
    image = jnp.einsum("gij,gjrs->girs", pauli_compose(coefficients), split).reshape(-1, size, size)
    return _forms(split.reshape(-1, size, size), image)


def _sum_forms(terms: Terms, whole: Array, coefficients: Array) -> Float[Array, "amplitudes outputs amplitudes"]:
    return _forms(whole[None], sum_images(terms, coefficients, whole))


def _forms(split: Array, image: Array) -> Float[Array, "amplitudes outputs amplitudes"]:
    """M_k = Re(U^dagger H_k U), symmetric; the middle axis is k, so that a batch meets all of them in one product."""
    split = jnp.broadcast_to(split, image.shape)
    # Re(A^dagger B) in two real products, where the complex one would take four.
    forms = jnp.einsum("gas,gat->sgt", split.real, image.real)
    return forms + jnp.einsum("gas,gat->sgt", split.imag, image.imag)


@jax.custom_jvp
def quadratic_values(forms: Array, state: Array) -> Array:
    """``x^T M_k x``."""
    return _images(forms, state) @ state


@quadratic_values.defjvp
def _quadratic_values_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # M is symmetric, so M x serves the value and the derivative, where JAX would also compute M^T x.
    (forms, state), (d_forms, d_state) = primals, tangents
    images = _images(forms, state)
    return images @ state, 2 * (images @ d_state) + _images(d_forms, state) @ state


def _images(forms: Array, state: Array) -> Float[Array, "outputs amplitudes"]:
    """M_k x. A batch of states is the left factor of one product, whose rows then need no transposition."""
    return (state @ forms.reshape(state.size, -1)).reshape(-1, state.size)
