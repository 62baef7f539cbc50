"""Each part of the network alone, at the work of an outer iteration: its share of the machine, under its roofline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array
from operations import PASSES, forward_operations, times_forward
from problem import SLICE, Problem, normal
from timing import Statistic, interleaved, ratio

from qdistill.distill.losses import cross_entropy
from qdistill.models.lenet import SIDE
from qdistill.models.quantum_lenet import QuantumLeNet
from qdistill.quantum import for_batch


def matrix_product(size: int) -> Callable[[], Array]:
    """A float32 product of two square matrices, compiled."""
    left, right = normal(size, size), normal(size, size)
    product = jax.jit(jnp.matmul).lower(left, right).compile()
    return lambda: jax.block_until_ready(product(left, right))


@dataclass(frozen=True)
class Case:
    """A part of the network, or the outer optimiser, at work.

    Args:
        part: its name.
        work: gradient, product or update.
        batch: inputs; the optimiser's are all synthetic ones.
        times: how often an iteration does it.
        operations: needed for it.
        advance: (what changes, what does not) -> what changes, after one more call; each call needs the last one's
            result, so that none can be left out.
        changing: arrays that a call reads and whose derivatives it writes.
        fixed: arrays that a call reads.
    """

    part: str
    work: str
    batch: int
    times: float
    operations: float
    advance: Callable[[Any, Any], Any]
    changing: Any
    fixed: Any

    @property
    def calls(self) -> int:
        """So many that starting the program, some microseconds, does not show."""
        return max(5, min(2000, round(1e8 / self.operations)))

    @property
    def n_bytes(self) -> int:
        """What must be read and written, each array once."""
        changing, fixed = (sum(a.nbytes for a in jax.tree.leaves(tree)) for tree in (self.changing, self.fixed))
        return 2 * changing + fixed

    def repeated(self) -> Callable[[], Any]:
        """All calls in one compiled program."""

        def run(changing: Any, fixed: Any) -> Any:
            return jax.lax.scan(lambda now, _: (self.advance(now, fixed), None), changing, None, length=self.calls)[0]

        compiled = jax.jit(run).lower(self.changing, self.fixed).compile()
        return lambda: jax.block_until_ready(compiled(self.changing, self.fixed))


def part_cases(problem: Problem, batch: int, times: float, passes: Sequence[str]) -> list[Case]:
    """Some passes of every part on so many random inputs, which an iteration does so many times."""
    model = for_batch(problem.distiller.model, batch)
    forward = forward_operations(model, problem.real.shape[1:])
    features, (_, *sides, channels) = model.features, problem.real.shape
    layers: dict[str, tuple[Any, Callable[[Any, Array], Array]]] = {
        "C1": (features.c1, lambda layer, x: layer(x)),
        "C2": (features.c2, lambda layer, x: layer(x)),
        "F1": (features.f1, lambda layer, x: jax.nn.relu(layer(x.reshape(-1)))),
        "F2": (features.f2, lambda layer, x: jax.nn.relu(layer(x))),
        "quantum": (model.branch, lambda layer, x: x + jnp.pad(layer(x), (0, x.size - layer.n_outputs))),
        "F3": (model.f3, lambda layer, x: layer(x)),
    }
    shape, cases = (*(max(side, SIDE) for side in sides), channels), []
    for name, (layer, act) in layers.items():
        weights, static = eqx.partition(layer, eqx.is_inexact_array)

        def loss(weights: Any, x: Array, target: Array, name=name, static=static, act=act) -> Array:
            y = jax.vmap(lambda one: act(eqx.combine(weights, static), one))(x)
            # Not linear in y: a linear one has no second derivative, and XLA would leave out what the network needs.
            return cross_entropy(y, target) if name == "F3" else jnp.sum(target * y**2)

        x = normal(batch, *shape)
        shape = jax.eval_shape(lambda x, layer=layer, act=act: act(layer, x), x[0]).shape
        target = normal(batch, *shape) / math.prod(shape)
        for work in passes:
            operations = times_forward(forward, {work: batch})[name]
            how = _advance(loss, work, name == "C1", weights, x, target)
            cases.append(Case(name, work, batch, times, operations, *how))
    return cases


def _advance(
    loss: Callable[..., Array], work: str, first: bool, weights: Any, x: Array, target: Array
) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """A small step along the derivatives that an outer iteration needs of this part: `Case`'s last three."""
    along = jax.tree.map(lambda w: 0.01 * normal(*w.shape), weights)

    def product(weights: Any, x: Array, x_tangent: Array, along: Any, target: Array) -> Array:
        return jax.jvp(lambda w, x: loss(w, x, target), (weights, x), (along, x_tangent))[1]

    def first_product(weights: Any, x: Array, along: Any, target: Array) -> Array:
        return jax.jvp(lambda w: loss(w, x, target), (weights,), (along,))[1]

    scalar, changing, fixed = {
        ("gradient", True): (loss, (weights,), (x, target)),
        ("gradient", False): (loss, (weights, x), (target,)),
        ("product", True): (first_product, (weights, x), (along, target)),
        ("product", False): (product, (weights, x, 0.01 * x), (along, target)),
    }[work, first]

    def advance(changing: Any, fixed: Any) -> Any:
        slopes = jax.grad(scalar, tuple(range(len(changing))))(*changing, *fixed)
        return jax.tree.map(lambda a, slope: a - 1e-6 * slope, changing, slopes)

    return advance, changing, fixed


def bare_case(case: Case, model: QuantumLeNet) -> Case | None:
    """The matrix products alone in the gradient of a part, in its shapes, as far as the part is one.

    What a part falls behind them is patches, pooling and activations; what they fall behind a large product is shape.
    """
    features = model.features
    layers = {
        "C1": features.c1.kernel,
        "C2": features.c2.kernel,
        "F1": features.f1.weight.T,
        "F2": features.f2.weight.T,
    }
    layer, first = (layers | {"F3": model.f3.weight.T}).get(case.part), case.part == "C1"
    if layer is None or case.work != "gradient":
        return None
    matrix = layer.reshape(-1, layer.shape[-1])
    derivatives = PASSES["gradient"][not first]
    rows = round(case.operations / (2 * matrix.size * derivatives))
    x = normal(rows, len(matrix))

    def advance(matrix: Array, x: Array) -> Array:
        y = x @ matrix
        # The barrier makes XLA compute all of a product of which little is used.
        slope, by_x = jax.lax.optimization_barrier((x.T @ y, x[:1] if first else y @ matrix.T))
        return matrix - 1e-9 * (slope + by_x[0, :, None])

    return Case(case.part, "bare", case.batch, case.times, 2.0 * rows * matrix.size * derivatives, advance, matrix, x)


def optimiser_case(problem: Problem) -> Case:
    """Clipping, the outer optimiser's update and the moving average."""
    distiller, learned = problem.distiller, problem.distiller.start().learned
    outer = problem.recipe.outer

    def advance(changing: Any, gradient: Any) -> Any:
        learned, averaged, state = changing
        norm = optax.tree.norm(gradient)
        factor = jnp.where(norm > outer.clip, outer.clip / norm, 1.0)
        updates, state = distiller.optimiser.update(jax.tree.map(lambda g: g * factor, gradient), state, learned)
        learned = optax.apply_updates(learned, updates)
        return learned, optax.incremental_update(learned, averaged, 1.0 - outer.average), state

    numbers = sum(leaf.size for leaf in jax.tree.leaves(learned))
    # Norm 2, clipping 1, Adam's moments 3 and 4, their corrections 2, root, sum, quotient and learning rate 4, the
    # update 1, the average 3.
    operations = 20.0 * numbers
    changing = (learned, learned, distiller.optimiser.init(learned))
    return Case("optimiser", "update", len(learned.inputs), 1, operations, advance, changing, learned)


def stream(size: int, calls: int) -> Callable[[], Array]:
    """Read and write an array of so many float32 numbers, so many times."""

    def run(x: Array) -> Array:
        return jax.lax.fori_loop(0, calls, lambda _, x: 0.5 * x + 1.0, x)

    x = jnp.ones(size)
    compiled = jax.jit(run).lower(x).compile()
    return lambda: jax.block_until_ready(compiled(x))


def time_parts(problem: Problem, size: int, repeats: int) -> dict[str, Any]:
    """Each part alone, in turn, with its roofline.

    Args:
        problem: gives the network.
        size: of the matrix product to compare with.
        repeats: samples of each.
    """
    cases = part_cases(problem, problem.n_step, problem.steps, ("gradient", "product"))
    cases += [*part_cases(problem, SLICE, problem.n_real / SLICE, ("gradient",)), optimiser_case(problem)]
    bares = [bare_case(case, problem.distiller.model) for case in cases]
    streams = {"memory": (2**24, 2), "cache": (2**15, 1000)}
    functions: dict[str, Callable[[], Any]] = {f"part {place}": case.repeated() for place, case in enumerate(cases)}
    functions |= {f"bare {place}": bare.repeated() for place, bare in enumerate(bares) if bare}
    functions |= {"product": matrix_product(size)} | {name: stream(*given) for name, given in streams.items()}
    times = interleaved(functions, repeats)
    bandwidth = {name: 8 * n * calls / statistics.median(times[name]) for name, (n, calls) in streams.items()}
    peak = [2 * size**3 / seconds for seconds in times["product"]]
    rate = statistics.median(peak)

    def share_of_peak(case: Case, seconds: list[float]) -> Statistic:
        return ratio([case.operations * case.calls / t for t in seconds], peak)

    print(
        f"\nmatrix product {rate / 1e9:.1f} GFLOP/s; read and write {bandwidth['memory'] / 1e9:.1f} GB/s in memory, "
        f"{bandwidth['cache'] / 1e9:.0f} GB/s in the cache"
    )
    print("part      pass     inputs        ms  in all  million op  share   bare product  op/byte  roof: memory  cache")
    rows = []
    for place, (case, bare) in enumerate(zip(cases, bares, strict=True)):
        milliseconds = Statistic.of(times[f"part {place}"], 1e3 / case.calls)
        shares, intensity = share_of_peak(case, times[f"part {place}"]), case.operations / case.n_bytes
        bare_shares = share_of_peak(bare, times[f"bare {place}"]) if bare else None
        roof = {name: min(1.0, intensity * width / rate) for name, width in bandwidth.items()}
        rows.append(
            {
                "part": case.part,
                "pass": case.work,
                "inputs": case.batch,
                "ms": asdict(milliseconds),
                "ms_in_an_iteration": case.times * milliseconds.median,
                "needed_operations": case.operations,
                "operations_per_second": 1e3 * case.operations / milliseconds.median,
                "share": shares.median,
                "bare_product_share": bare_shares and bare_shares.median,
                "operations_per_byte": intensity,
                "roof": roof,
            }
        )
        print(
            f"{case.part:9s} {case.work:8s} {case.batch:6d} {milliseconds.median:9.4f} "
            f"{case.times * milliseconds.median:7.2f} {case.operations / 1e6:11.3f} {shares.median:6.1%} "
            f"{f'{bare_shares.median:.1%}' if bare_shares else '':>14s} {intensity:8.1f} "
            f"{roof['memory']:13.0%} {roof['cache']:6.0%}"
        )
    print(f"together {sum(row['ms_in_an_iteration'] for row in rows):.1f} ms of an iteration")
    return {"matrix_product": rate, "bytes_per_second": bandwidth, "rows": rows}
