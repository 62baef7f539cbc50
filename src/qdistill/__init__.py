"""Dataset distillation for quantum neural networks.

The names most users need: a `Recipe` (from `default_recipe`), `run`, which follows it, `DistilledDataset`, the file
that comes out, and `replay`, which trains on it and measures. Circuits and layers are in `qdistill.quantum`,
networks in `qdistill.models`, datasets in `qdistill.data`. `to_pennylane`, `to_qiskit` and `to_openqasm` export a
layer; `from_pennylane`, `from_qiskit` and `from_openqasm` read a circuit, `classifier_from_pennylane` and
`classifier_from_qiskit` one with what it measures, as a model. `from_pennylane_observable` and `from_sparse_pauli_op`
read an observable for a layer.

The names are imported when they are first used: `qdistill --help` need not wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from qdistill.version import __version__ as __version__

if TYPE_CHECKING:
    from qdistill.backends.classifier_from_pennylane import classifier_from_pennylane
    from qdistill.backends.classifier_from_qiskit import classifier_from_qiskit
    from qdistill.backends.from_openqasm import from_openqasm
    from qdistill.backends.from_pennylane import from_pennylane
    from qdistill.backends.from_qiskit import from_qiskit
    from qdistill.backends.openqasm import to_openqasm
    from qdistill.backends.pennylane import to_pennylane
    from qdistill.backends.qiskit import to_qiskit
    from qdistill.backends.read_observables import from_pennylane_observable, from_sparse_pauli_op
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.distill.compression import Compression
    from qdistill.distill.inner import InnerLoop, train
    from qdistill.distill.outer import Distiller, OuterLoop
    from qdistill.distill.training_set import TrainingSet
    from qdistill.errors import QDistillError
    from qdistill.evaluate.protocol import Evaluation, replay
    from qdistill.experiments.defaults import default_recipe
    from qdistill.experiments.progress import ProgressDisplay
    from qdistill.experiments.recipe import Recipe
    from qdistill.experiments.run import run, run_seeds
    from qdistill.experiments.search.search import search
    from qdistill.models import CircuitArchitecture, LeNetArchitecture, QuantumLeNetArchitecture
    from qdistill.quantum import QuantumLayer

_HOMES = {
    "CircuitArchitecture": "models",
    "Compression": "distill.compression",
    "DistilledDataset": "distill.bundle",
    "Distiller": "distill.outer",
    "Evaluation": "evaluate.protocol",
    "InnerLoop": "distill.inner",
    "LeNetArchitecture": "models",
    "OuterLoop": "distill.outer",
    "ProgressDisplay": "experiments.progress",
    "QDistillError": "errors",
    "QuantumLayer": "quantum",
    "QuantumLeNetArchitecture": "models",
    "Recipe": "experiments.recipe",
    "TrainingSet": "distill.training_set",
    "classifier_from_pennylane": "backends.classifier_from_pennylane",
    "classifier_from_qiskit": "backends.classifier_from_qiskit",
    "default_recipe": "experiments.defaults",
    "from_openqasm": "backends.from_openqasm",
    "from_pennylane": "backends.from_pennylane",
    "from_pennylane_observable": "backends.read_observables",
    "from_qiskit": "backends.from_qiskit",
    "from_sparse_pauli_op": "backends.read_observables",
    "replay": "evaluate.protocol",
    "run": "experiments.run",
    "run_seeds": "experiments.run",
    "search": "experiments.search.search",
    "to_openqasm": "backends.openqasm",
    "to_pennylane": "backends.pennylane",
    "to_qiskit": "backends.qiskit",
    "train": "distill.inner",
}

__all__ = [
    "CircuitArchitecture",
    "Compression",
    "DistilledDataset",
    "Distiller",
    "Evaluation",
    "InnerLoop",
    "LeNetArchitecture",
    "OuterLoop",
    "ProgressDisplay",
    "QDistillError",
    "QuantumLayer",
    "QuantumLeNetArchitecture",
    "Recipe",
    "TrainingSet",
    "classifier_from_pennylane",
    "classifier_from_qiskit",
    "default_recipe",
    "from_openqasm",
    "from_pennylane",
    "from_pennylane_observable",
    "from_qiskit",
    "from_sparse_pauli_op",
    "replay",
    "run",
    "run_seeds",
    "search",
    "to_openqasm",
    "to_pennylane",
    "to_qiskit",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'qdistill' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"qdistill.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, and what every module has."""
    return sorted({*globals(), *__all__})
