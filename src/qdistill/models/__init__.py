"""Networks as `eqx.Module`: one input in, logits out."""

from qdistill.models.circuit import CircuitArchitecture, CircuitClassifier
from qdistill.models.circuit_centric import CircuitCentric
from qdistill.models.dressed import DressedCircuit
from qdistill.models.iqp import IQPVariational
from qdistill.models.kernel import KernelArchitecture, KernelClassifier
from qdistill.models.layers import ConvPool, Dense
from qdistill.models.lenet import LeNet, LeNetArchitecture, LeNetFeatures
from qdistill.models.model import (
    Architecture,
    ClosedForm,
    GivesFidelities,
    HasLastFeatures,
    KnowsShapes,
    Model,
    circuit_choices,
    fields_from_json,
    fields_to_json,
    is_solved,
    last_features,
    named_weights,
    names_a_file,
    predict,
    structure,
    with_weights,
)
from qdistill.models.qcnn import QCNN
from qdistill.models.quantum_lenet import PooledDense, QuantumLeNet, QuantumLeNetArchitecture
from qdistill.models.quanvolution import Quanvolution
from qdistill.models.registry import (
    ARCHITECTURES,
    HOW_TO_ADD,
    architecture_from_json,
    architecture_options,
    architecture_to_json,
)
from qdistill.models.reuploading import DataReuploading
from qdistill.models.tree_tensor import TreeTensor

__all__ = [
    "ARCHITECTURES",
    "HOW_TO_ADD",
    "QCNN",
    "Architecture",
    "CircuitArchitecture",
    "CircuitCentric",
    "CircuitClassifier",
    "ClosedForm",
    "ConvPool",
    "DataReuploading",
    "Dense",
    "DressedCircuit",
    "GivesFidelities",
    "HasLastFeatures",
    "IQPVariational",
    "KernelArchitecture",
    "KernelClassifier",
    "KnowsShapes",
    "LeNet",
    "LeNetArchitecture",
    "LeNetFeatures",
    "Model",
    "PooledDense",
    "QuantumLeNet",
    "QuantumLeNetArchitecture",
    "Quanvolution",
    "TreeTensor",
    "architecture_from_json",
    "architecture_options",
    "architecture_to_json",
    "circuit_choices",
    "fields_from_json",
    "fields_to_json",
    "is_solved",
    "last_features",
    "named_weights",
    "names_a_file",
    "predict",
    "structure",
    "with_weights",
]
