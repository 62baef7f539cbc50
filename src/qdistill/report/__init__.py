"""Figures of a run, drawn from what is in its folder or its bundle file and from nothing else."""
