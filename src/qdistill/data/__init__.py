"""Where real inputs come from, and what is done to them before training."""

from qdistill.data.benchmarks import BarsAndStripes, HiddenManifold, Hyperplanes, LinearlySeparable, TwoCurves
from qdistill.data.data_file import DataFile, is_data_path
from qdistill.data.digits import Digits
from qdistill.data.fitted import FittedChain
from qdistill.data.own import Images, Vectors
from qdistill.data.preprocess import Labelled, Splits, split
from qdistill.data.raw import RawDataset
from qdistill.data.registry import DATASETS, Source, source
from qdistill.data.scikit import BreastCancer, Circles, Iris, Moons, Wine
from qdistill.data.sources import CIFAR10, MNIST, FashionMNIST
from qdistill.data.subset import MNISTDigits
from qdistill.data.transforms import PCA, Rescale, Standardise, Transform, Whiten

__all__ = [
    "CIFAR10",
    "DATASETS",
    "MNIST",
    "PCA",
    "BarsAndStripes",
    "BreastCancer",
    "Circles",
    "DataFile",
    "Digits",
    "FashionMNIST",
    "FittedChain",
    "HiddenManifold",
    "Hyperplanes",
    "Images",
    "Iris",
    "Labelled",
    "LinearlySeparable",
    "MNISTDigits",
    "Moons",
    "RawDataset",
    "Rescale",
    "Source",
    "Splits",
    "Standardise",
    "Transform",
    "TwoCurves",
    "Vectors",
    "Whiten",
    "Wine",
    "is_data_path",
    "source",
    "split",
]
