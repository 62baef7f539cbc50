"""Circuits to and from other frameworks: the only place that imports them, each when it is needed."""
