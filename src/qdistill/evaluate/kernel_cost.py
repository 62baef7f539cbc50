"""What a kernel runs on a quantum computer: a circuit for each pair of points whose fidelity is measured.

A point has the fidelity 1 with itself, and a pair is measured once: m support points take m (m - 1) / 2 circuits before
the first prediction, and m for every prediction. From all n training points it would be n for m.
"""

from __future__ import annotations

from dataclasses import dataclass

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work, depth
from qdistill.fields import convert
from qdistill.quantum import Circuit, FidelityKernel
from qdistill.quantum.gates import shift_rule


@dataclass(frozen=True)
class KernelTask:
    """Something that takes entries of a kernel.

    Args:
        name: what it is.
        how: how many pairs of points it takes, as a formula with its numbers.
        work: what it runs.
    """

    name: str
    how: str
    work: Work


def kernel_tasks(bundle: DistilledDataset, *, shots: int) -> list[KernelTask]:
    """What a bundle of support points takes, and what all training points would where their number is known.

    Args:
        bundle: of a kernel.
        shots: of each circuit.

    Raises:
        ArgumentError: no shots, or the bundle's network is no kernel.
    """
    model = bundle.kernel
    if model is None:
        raise ArgumentError("Argument `bundle` must be of a kernel, but was of another network.")
    if convert(shots, int, "shots") < 1:
        raise ArgumentError(f"Argument `shots` must be at least 1, but was {shots}.")
    m = len(bundle.data.inputs)
    tasks = _of_points(model.kernel, m, f"{m:,} support points", shots)
    n = bundle.provenance.get("n_train")
    if isinstance(n, int):
        tasks += _of_points(model.kernel, n, f"all {n:,} training points", shots)
    return tasks


def kernel_distillation_circuits(bundle: DistilledDataset) -> int | None:
    """The circuits of a distillation whose every entry and derivative is measured on a quantum computer.

    An iteration takes the entries of the m support points with each other and with B real points, and their derivatives
    by the features of support points, by shift rules. Looks at the validation part are not counted.

    Returns:
        None where the bundle has no recipe, or is of no kernel.
    """
    outer, model = bundle.recipe.get("outer"), bundle.kernel
    if outer is None or model is None:
        return None
    m, batch = len(bundle.data.inputs), int(outer["batch"])
    circuit = model.kernel.entry_circuit
    of_both, of_one = _shifted(circuit, 0), _shifted(circuit, model.kernel.n_features)
    iteration = m * (m - 1) // 2 * (1 + of_both) + m * batch * (1 + of_one)
    return int(outer["iterations"]) * iteration


def _shifted(circuit: Circuit, first: int) -> int:
    """Evaluations for the derivatives of an entry by the features from the first on."""
    return sum(
        2 * len(shift_rule(operation.gate))
        for operation in circuit.operations
        for angle in operation.angles
        if angle.features and angle.features[-1] >= first
    )


def _of_points(kernel: FidelityKernel, count: int, points: str, shots: int) -> list[KernelTask]:
    circuit = kernel.entry_circuit

    def work(circuits: int) -> Work:
        entanglers = sum(len(operation.wires) == 2 for operation in circuit.operations)
        return Work(circuits, circuits * shots, 1, depth(circuit), entanglers)

    pairs = count * (count - 1) // 2
    return [
        KernelTask(f"the kernel matrix of {points}", f"{count:,} x {count - 1:,} / 2 pairs", work(pairs)),
        KernelTask(f"a prediction from {points}", f"{count:,} pairs with the new point", work(count)),
    ]
