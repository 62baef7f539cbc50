"""What noise costs: the quantum layer on a device against the same layer without noise, called in turn.

    python benchmarks/noise.py [--images 1024] [--wires 6] [--repeats 40] [--threads 1]

Prints, for values and for a gradient, the milliseconds of a call without noise, with the noise of gates and readout
alone, and with the averaged noise of the state preparation too, each as its ratio to the first; then what the exact
noise of the preparation takes an image. The device is Qiskit's FakeSherbrooke, the layer that of `peers.py`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import timing
from layer import quantum_layer
from peers import InJax, Kind, Outputs, Parameters, Prepared, Problem

if TYPE_CHECKING:
    import jax

Preparation = Literal["exact", "approximate", "ideal"]
EXACT_IMAGES = 16
"""A density matrix each, so the memory of a thousand would be 32 MiB and the time seconds."""


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


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--wires", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    timing.prepare(options.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    kinds: tuple[Kind, ...] = ("value", "gradient")
    for kind in kinds:
        averaged: dict[str, Preparation] = {"gates and readout": "ideal", "and averaged preparation": "approximate"}
        measure(Problem.draw(options.wires, options.images), kind, averaged, options.repeats)
    for kind in kinds:
        measure(Problem.draw(options.wires, EXACT_IMAGES), kind, {"and exact preparation": "exact"}, 3)
    print(timing.machine())


if __name__ == "__main__":
    main()
