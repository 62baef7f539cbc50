"""What noise costs: the quantum layer on a device against the same layer without noise, called in turn.

    python benchmarks/noise.py [--inputs 1024] [--wires 6] [--repeats 40] [--threads 1]

Prints, for values and for a gradient, the milliseconds of a call without noise, with the noise of gates and readout
alone, and with the averaged noise of the state preparation too, each as its ratio to the first; then what the exact
noise of the preparation takes an input. The device is Qiskit's FakeSherbrooke, the layer that of `peers.py`.

    python benchmarks/noise.py --errors [--inputs 500]

prints instead how far apart the values are with the exact, the averaged and the ideal preparation: root mean squares
over the first test inputs of MNIST, through the trained network `mnist-10-qlenet` of the zoo.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import timing
from layer import quantum_layer
from peers import InJax, Kind, Outputs, Parameters, Prepared, Problem

if TYPE_CHECKING:
    import jax

Preparation = Literal["exact", "approximate", "ideal"]
EXACT_IMAGES = 16
"""A density matrix each, so the memory of a thousand would be 32 MiB and the time seconds."""
FACTORS = (0.5, 1.0, 2.0, 4.0)
"""What the device's error rates are multiplied with."""


def layer_outputs(preparation: Preparation | None) -> Callable[[], Outputs]:
    """The layer on the device, with this noise of the state preparation; None for no noise at all."""

    def build() -> Outputs:
        import jax

        from qdistill.backends.devices import device
        from qdistill.quantum import Execution, for_batch, on_device

        def outputs(parameters: Parameters, features: jax.Array) -> jax.Array:
            layer = for_batch(quantum_layer(parameters), len(features))
            if preparation is None:
                return jax.vmap(layer)(features)
            model = device("fake_sherbrooke", layer.circuit.n_wires)
            return jax.vmap(on_device(layer, Execution(model, preparation=preparation)))(features)

        return outputs

    return build


def measure(problem: Problem, kind: Kind, preparations: dict[str, Preparation], repeats: int) -> None:
    """Time the layer without noise and with each, and print them."""
    prepared: dict[str, Prepared] = {"no noise": InJax(layer_outputs(None)).prepare(problem, kind)}
    for name, preparation in preparations.items():
        prepared[name] = InJax(layer_outputs(preparation)).prepare(problem, kind)
    samples = timing.interleaved({name: one.run for name, one in prepared.items()}, repeats)
    for name, one in prepared.items():
        time = timing.Statistic.of(samples[name], 1e3)
        ratio = timing.ratio(samples[name], samples["no noise"])
        print(
            f"{len(problem.features):6,d} {kind:9s} {name:32s} {time.median:9.3f} ms ({time.min:.3f} - {time.max:.3f})"
            f"  {ratio.median:7.2f} ({ratio.min:.2f} - {ratio.max:.2f})  compiled in {one.compile_seconds:.1f} s",
            flush=True,
        )


def errors(n_inputs: int) -> None:
    """Print how far the values of the trained layer are from those with the exact noise, for each factor."""
    import jax
    import jax.numpy as jnp

    from qdistill.backends.devices import device
    from qdistill.data import source
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.zoo import zoo_path
    from qdistill.quantum import Execution, on_device

    bundle = DistilledDataset.load(zoo_path("mnist-10-qlenet"))
    network = bundle.train()
    inputs = bundle.transform(jnp.asarray(source("mnist").load(None).test_inputs[:n_inputs]))
    features = jax.vmap(network.features)(inputs)
    layer, model = network.branch, device("fake_sherbrooke", network.branch.circuit.n_wires)

    def rms(difference: jax.Array) -> float:
        return float(jnp.sqrt(jnp.mean(difference**2)))

    pure = jax.vmap(layer)(features)
    print(f"{n_inputs} test inputs of MNIST, {model.name}; the values have the root mean square {rms(pure):.2f}")
    print("factor  all noise  averaged against exact  ideal against exact")
    for factor in FACTORS:
        values = {}
        for kind in get_args(Preparation):
            noisy = on_device(layer, Execution(model.scaled(factor), preparation=kind))
            apply = jax.jit(jax.vmap(noisy.__call__))
            # A density matrix an input: a few at a time.
            parts = [apply(features[start : start + EXACT_IMAGES]) for start in range(0, n_inputs, EXACT_IMAGES)]
            values[kind] = jnp.concatenate(parts)
        found = [rms(other - values["exact"]) for other in (pure, values["approximate"], values["ideal"])]
        print(f"{factor:6g}  {found[0]:9.4f}  {found[1]:22.4f}  {found[2]:19.4f}", flush=True)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--wires", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    timing.prepare(options.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if options.errors:
        errors(options.inputs or 500)
        print(timing.machine())
        return
    kinds: tuple[Kind, ...] = ("value", "gradient")
    for kind in kinds:
        averaged: dict[str, Preparation] = {"gates and readout": "ideal", "and averaged preparation": "approximate"}
        measure(Problem.draw(options.wires, options.inputs or 1024), kind, averaged, options.repeats)
    for kind in kinds:
        measure(Problem.draw(options.wires, EXACT_IMAGES), kind, {"and exact preparation": "exact"}, 3)
    print(timing.machine())


if __name__ == "__main__":
    main()
