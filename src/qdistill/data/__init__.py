"""Where real inputs come from, and what is done to them before training."""

from qdistill.data.arrays import Arrays
from qdistill.data.digits import Digits
from qdistill.data.preprocess import Labelled, Normalisation, Splits, split
from qdistill.data.raw import RawDataset
from qdistill.data.registry import DATASETS, Source, source
from qdistill.data.sources import CIFAR10, MNIST, FashionMNIST

__all__ = [
    "CIFAR10",
    "DATASETS",
    "MNIST",
    "Arrays",
    "Digits",
    "FashionMNIST",
    "Labelled",
    "Normalisation",
    "RawDataset",
    "Source",
    "Splits",
    "source",
    "split",
]
