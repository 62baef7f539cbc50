"""Where runs are run: in this process, in others of this machine, on a Ray cluster, by Slurm.

What runs anywhere is a `Unit`, a recipe and a run folder, and it resumes. An `Engine` runs many of them. `here` is one
by itself; the others are `Workers`, which `drive` makes an engine of.
"""
