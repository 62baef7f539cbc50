"""Other objectives than performance matching: each looks at networks on the way of a training, not through it."""

from qdistill.distill.matching.distributions import DistributionMatching
from qdistill.distill.matching.gradients import GradientMatching
from qdistill.distill.matching.last_layer import LastLayer
from qdistill.distill.matching.named import Objective, check_objective, named_objective

__all__ = [
    "DistributionMatching",
    "GradientMatching",
    "LastLayer",
    "Objective",
    "check_objective",
    "named_objective",
]
