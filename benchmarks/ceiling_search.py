"""The search for the training on all inputs that the tables take as their ceiling: validation accuracy alone.

    python benchmarks/ceiling_search.py mnist|cifar10

trains the row with residual and trainable Hermitian, seed 0, once for each setting, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time

import jax

from qdistill.evaluate.baselines import FullTraining, share_right, train_on_all
from qdistill.experiments.tables.read import read_table

SETTINGS = {
    "mnist": (
        FullTraining(epochs=5, batch=128, step_size=0.002),
        FullTraining(epochs=10, batch=128, step_size=0.002),
        FullTraining(epochs=10, batch=128, step_size=0.004),
        FullTraining(epochs=10, batch=32, step_size=0.002),
        FullTraining(epochs=10, batch=32, optimiser="momentum", step_size=0.01),
        FullTraining(epochs=20, batch=128, step_size=0.002),
    ),
    "cifar10": (
        FullTraining(epochs=10, batch=128, step_size=0.002, mirror=True),
        FullTraining(epochs=20, batch=128, step_size=0.002, mirror=True),
        FullTraining(epochs=20, batch=128, step_size=0.004, mirror=True),
        FullTraining(epochs=20, batch=32, optimiser="momentum", step_size=0.01, mirror=True),
        FullTraining(epochs=40, batch=128, step_size=0.002, mirror=True),
        FullTraining(epochs=80, batch=128, step_size=0.002, mirror=True),
    ),
}


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", choices=SETTINGS)
    dataset = parser.parse_args().dataset

    recipe = read_table(f"table1-{dataset}").row("pad-hermitian").recipe
    splits = recipe.splits()
    key_model, key = jax.random.split(jax.random.key(recipe.seed))
    model = recipe.model.build(splits.input_shape, splits.n_classes, key=key_model)
    print("| optimiser | step size | batch | epochs | validation accuracy | core-minutes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for training in SETTINGS[dataset]:
        started = time.process_time()
        trained = train_on_all(model, splits, training, key=key)
        cells = (
            training.optimiser.replace("_", " "),
            f"{training.step_size:g}",
            f"{training.batch}",
            f"{training.epochs:g}",
            f"{share_right(trained, splits, 'validation'):.2%}",
            f"{(time.process_time() - started) / 60:.1f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
