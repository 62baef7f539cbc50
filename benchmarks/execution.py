"""What batches save a training on Aer: bound parameters in one job, against a job for each circuit.

    python benchmarks/execution.py [--shots 1024] [--evaluations 100] [--alone 10] [--repeats 5] [--threads 2]

measures the layer of `peers.py` on 6 wires, with the state preparation as gates, at angles that the parameter-shift
rule asks for. `qdistill execute` transpiles a circuit for each of the 3 measurement settings once, and sends all
vectors of parameters in one job. The loop beside it binds, transpiles (with as little optimisation as ours) and runs
each circuit by itself; or the same with the circuits transpiled once, to tell the two savings apart. All must sample
the exact expectation values, to 5 standard deviations. They are called in turn, in one process. Prints the milliseconds
a circuit, the ratios, and the minutes of a training of 3 steps on 10 inputs, without its classical part, which is
seconds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import timing
from layer import quantum_layer
from peers import Problem

if TYPE_CHECKING:
    from qdistill.backends.measured import MeasuredCircuit

WIRES, IMAGES, STEPS = 6, 10, 3
BATCHED = "batched"
ALONE = {"one by one": False, "one by one, transpiled once": True}


def one_by_one(measured: MeasuredCircuit, shots: int, *, once: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The loop without batches: what `Evaluator.expectations` gives, by one job a circuit, transpiled once or each."""
    import qiskit
    import qiskit_aer

    from qdistill.backends.qiskit import circuit_to_qiskit

    simulator = qiskit_aer.AerSimulator()
    transpiled = partial(qiskit.transpile, backend=simulator, optimization_level=0)
    circuits = []
    for setting in measured.settings:
        circuit = circuit_to_qiskit(measured.circuit)
        for qubit, letter in enumerate(reversed(setting)):
            if letter == "Y":
                circuit.sdg(qubit)
            if letter != "Z":
                circuit.h(qubit)
        circuit.measure_all()
        circuits.append(transpiled(circuit) if once else circuit)

    def frequencies(circuit: qiskit.QuantumCircuit, angles: np.ndarray) -> np.ndarray:
        bound = circuit.assign_parameters({p: angles[p.index] for p in circuit.parameters})
        result = simulator.run(bound if once else transpiled(bound), shots=shots).result()
        row = np.zeros(2**circuit.num_qubits)
        for bits, count in result.get_counts().items():
            row[int(bits, 2)] = count / shots
        return row

    def expectations(parameters: np.ndarray) -> np.ndarray:
        return measured.from_probabilities(
            [np.stack([frequencies(circuit, angles) for angles in parameters]) for circuit in circuits]
        )

    return expectations


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shots", type=int, default=1024)
    parser.add_argument("--evaluations", type=int, default=100, help="in a batch, each in 3 settings")
    parser.add_argument("--alone", type=int, default=10, help="as many of them one by one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    timing.prepare(options.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax.numpy as jnp

    from qdistill.backends.evaluators import evaluator
    from qdistill.backends.measured import measured_circuit
    from qdistill.backends.shifts import parameter_shift

    problem = Problem.draw(WIRES, 1)
    layer = quantum_layer((jnp.asarray(problem.angles), jnp.asarray(problem.coefficients)))
    measured = measured_circuit(layer)
    rule = parameter_shift(measured)
    angles = np.asarray(measured.layer_angles(layer, jnp.asarray(problem.features[0])), dtype=float)
    parameters = (angles + rule.offsets)[: options.evaluations]
    alone = parameters[: options.alone]
    start = time.perf_counter()
    batched, _ = evaluator(measured, "qiskit-aer", options.shots)
    made = time.perf_counter() - start
    loops = {name: one_by_one(measured, options.shots, once=once) for name, once in ALONE.items()}
    expected = evaluator(measured, "exact", None)[0].expectations(alone, seed=0)
    for values in (batched.expectations(alone, seed=0), *(loop(alone) for loop in loops.values())):
        # A term's standard deviation is 1 / sqrt(shots) at most.
        if np.abs(values - expected).max() > 5 / np.sqrt(options.shots):
            raise SystemExit("The samples are not of these circuits.")
    functions: dict[str, Callable[[], object]] = {BATCHED: lambda: batched.expectations(parameters, seed=0)}
    functions |= {name: partial(loop, alone) for name, loop in loops.items()}
    # All have run above, and take long enough for a sample of one call.
    samples = timing.interleaved(functions, options.repeats, known=dict.fromkeys(functions, timing.SLOW + 1))
    settings = len(measured.settings)
    each = {
        name: [seconds / (settings * len(parameters if name == BATCHED else alone)) for seconds in taken]
        for name, taken in samples.items()
    }
    in_training = STEPS * IMAGES * len(rule.offsets) * settings
    print(f"{options.shots:,} shots; {settings * len(parameters)} circuits a batch, {settings * len(alone)} one by one")
    for name, taken in each.items():
        one, ratio = timing.Statistic.of(taken, 1e3), timing.ratio(taken, each[BATCHED])
        training = timing.Statistic.of(taken, in_training / 60)
        print(
            f"{name:28s} {one.median:8.2f} ms a circuit ({one.min:.2f} - {one.max:.2f})"
            f"  {ratio.median:6.2f} ({ratio.min:.2f} - {ratio.max:.2f})"
            f"  {in_training:,} circuits: {training.median:.1f} minutes ({training.min:.1f} - {training.max:.1f})"
        )
    print(f"Transpiled once, for all {settings} settings: {made:.2f} s, the import of Qiskit included.")
    print(timing.machine())


if __name__ == "__main__":
    main()
