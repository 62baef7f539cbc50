"""Tables of results: the paper's Table I with what it leaves out, and the benchmarks that the field reads.

A table is a TOML file among the recipes: its rows, each with a recipe, how many seeds, and the published number; and
the differences between rows that answer a question. A table's folder holds a folder for each row, with a run folder for
each seed in it; `table.json`, which `report` draws and writes out; and `runs.jsonl`, the runs in one file. Seeds 0, 1,
2, ... of all rows share their initial examples and batches, and their initial weights where those have the same shape,
so that differences are taken seed by seed.
"""
