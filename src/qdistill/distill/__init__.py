"""The bilevel problem: synthetic data, optimised through the training of a network on it."""
