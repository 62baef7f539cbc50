"""Dataset distillation for quantum neural networks."""

__version__ = "0.1.0"
