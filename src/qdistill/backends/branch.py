"""The one layer of a bundle's network that a framework is given: a quantum LeNet's, between F2 and F3."""

from __future__ import annotations

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import BundleError
from qdistill.models import Model, QuantumLeNet
from qdistill.quantum import QuantumLayer


def quantum_branch(model: Model, bundle: DistilledDataset, done: str) -> QuantumLayer:
    """The quantum layer between F2 and F3.

    Args:
        model: the bundle's network.
        bundle: names its architecture, for the error.
        done: what is to be done with the layer, for the error: ``"exported to qiskit"``.

    Raises:
        BundleError: the network is no quantum LeNet, or has no quantum layer there.
    """
    if isinstance(model, QuantumLeNet) and isinstance(model.branch, QuantumLayer):
        return model.branch
    found = f"is the architecture {type(bundle.architecture).__name__}"
    if isinstance(model, QuantumLeNet):
        found = f"has {'none' if model.branch is None else 'a dense layer'} there"
    raise BundleError(
        f"Only the quantum layer of a quantum LeNet, between F2 and F3, can be {done}, but the bundle's network "
        f"{found}."
    )
