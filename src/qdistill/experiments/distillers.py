"""The bilevel problems of recipes."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from qdistill.compiling import compiled
from qdistill.data import Splits
from qdistill.distill.matching import named_objective
from qdistill.distill.outer import Distiller
from qdistill.experiments.recipe import Recipe
from qdistill.models import Model
from qdistill.quantum import Execution, on_device


def make_distiller(recipe: Recipe, splits: Splits) -> Distiller:
    """The bilevel problem of a recipe."""
    execution = None if recipe.device.is_exact else recipe.device.execution(recipe.n_wires)
    (distiller,) = make_distillers([recipe], splits, execution=execution)
    return distiller


def make_distillers(
    recipes: Sequence[Recipe],
    splits: Splits,
    *,
    execution: Execution | None,
    memory_budget: int | None = None,
    at_once: int = 1,
    mesh: Mesh | None = None,
) -> list[Distiller]:
    """The bilevel problems of recipes that differ in their seed only; they share what is compiled.

    Args:
        recipes: at least one.
        splits: their data.
        execution: how quantum layers take shots; None for exact expectation values.
        memory_budget: bytes, see `run`.
        at_once: how many trainings keep their steps at the same time, and share the memory: devices that are at work,
            or on accelerators seeds.
        mesh: the devices that share an iteration of the only recipe; None for one.
    """
    recipe = recipes[0]

    def build(key: Array) -> Model:
        return recipe.model.build(splits.input_shape, splits.n_classes, key=key)

    build_at_once = compiled(build)  # one program for all weights, instead of a small one for each array
    budget = None if memory_budget is None else memory_budget // at_once
    distillers: list[Distiller] = []
    for each in recipes:
        key_model, key_distil = jax.random.split(jax.random.key(each.seed))
        model = build_at_once(key_model)
        if execution is not None:
            model = on_device(model, execution)
        distillers.append(
            distillers[0].with_start(model, key_distil)
            if distillers
            else Distiller(
                model,
                splits,
                compression=recipe.compression,
                inner=recipe.inner,
                outer=recipe.outer,
                objective=named_objective(recipe.objective, budget),
                initialisation=recipe.initialisation,
                build=build,
                mesh=mesh,
                key=key_distil,
            )
        )
    return distillers
