"""The angles of many gates as arrays: maps from weights and features that are evaluated all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qdistill.quantum.angle import Angle, Term


@dataclass(frozen=True, eq=False)
class Products:
    """Terms that multiply entries, ``coefficient * weights[...] * ... * features[...] * ...``, to be added to angles.

    Args:
        place: (terms,), the number of the angle that each belongs to.
        coefficient: (terms,).
        weight_index: (terms, most weights in a term), 0 for a factor of 1 and 1 + i for weight i.
        feature_index: (terms, most features in a term), likewise.
    """

    place: np.ndarray
    coefficient: np.ndarray
    weight_index: np.ndarray
    feature_index: np.ndarray

    @classmethod
    def of(cls, terms: Sequence[tuple[int, Term]]) -> Products:
        """The arrays of some terms, each with the number of its angle."""

        def indices(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
            width = max(map(len, rows))
            return np.array([[1 + i for i in row] + [0] * (width - len(row)) for row in rows], np.int32)

        return cls(
            place=np.array([place for place, _ in terms], np.int32),
            coefficient=np.array([term.coefficient for _, term in terms]),
            weight_index=indices([term.weights for _, term in terms]),
            feature_index=indices([term.features for _, term in terms]),
        )


@dataclass(frozen=True, eq=False)
class AngleTable:
    """Maps from weights and features to an array of angles.

    Each angle is ``offset + weight_scale * weights[weight_index] + feature_scale * features[feature_index]``, which is
    a gather an array and all that most circuits need, and what the products add where there are any. `n_weights` and
    `n_features` are how many entries have to be there.
    """

    offset: np.ndarray
    weight_scale: np.ndarray
    weight_index: np.ndarray
    feature_scale: np.ndarray
    feature_index: np.ndarray
    products: Products | None
    n_weights: int
    n_features: int

    @classmethod
    def of(cls, angles: Sequence[Angle], shape: tuple[int, ...]) -> AngleTable:
        """The maps of some angles, in C order."""
        offset, weight_scale, feature_scale = np.zeros((3, len(angles)))
        # 32-bit indices: with wider ones, JAX 0.10 cannot index first without and then with `jax_enable_x64`.
        weight_index, feature_index = np.zeros((2, len(angles)), np.int32)
        products = []
        for place, angle in enumerate(angles):
            for term in angle.terms:
                if not term.degree:
                    offset[place] = term.coefficient
                elif term.degree == 1 and term.weights and not weight_scale[place]:
                    weight_scale[place], weight_index[place] = term.coefficient, term.weights[0]
                elif term.degree == 1 and term.features and not feature_scale[place]:
                    feature_scale[place], feature_index[place] = term.coefficient, term.features[0]
                else:
                    products.append((place, term))
        return cls(
            offset=offset.reshape(shape),
            weight_scale=weight_scale.reshape(shape),
            weight_index=weight_index.reshape(shape),
            feature_scale=feature_scale.reshape(shape),
            feature_index=feature_index.reshape(shape),
            products=Products.of(products) if products else None,
            n_weights=max((angle.weights[-1] + 1 for angle in angles if angle.weights), default=0),
            n_features=max((angle.features[-1] + 1 for angle in angles if angle.features), default=0),
        )
