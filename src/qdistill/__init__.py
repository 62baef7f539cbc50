"""Dataset distillation for quantum neural networks.

The five names most users need: a `Recipe` (from `default_recipe`), `run`, which follows it, `DistilledDataset`,
the file that comes out, and `evaluate`, which replays it. Circuits and layers are in `qdistill.quantum`, networks in
`qdistill.models`, datasets in `qdistill.data`.
"""

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop, TrainingSet, train
from qdistill.distill.outer import Compression, Distiller, OuterLoop
from qdistill.errors import QDistillError
from qdistill.evaluate.protocol import Evaluation, evaluate
from qdistill.experiments.recipe import Recipe, default_recipe
from qdistill.experiments.run import run
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import QuantumLayer

__version__ = "0.1.0"

__all__ = [
    "Compression",
    "DistilledDataset",
    "Distiller",
    "Evaluation",
    "InnerLoop",
    "LeNetArchitecture",
    "OuterLoop",
    "QDistillError",
    "QuantumLayer",
    "QuantumLeNetArchitecture",
    "Recipe",
    "TrainingSet",
    "default_recipe",
    "evaluate",
    "run",
    "train",
]
