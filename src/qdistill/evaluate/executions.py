"""The bill of a bundle's training as plain data, for a page."""

from __future__ import annotations

from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.cost import evaluations_per_gradient, settings, work_of
from qdistill.evaluate.kernel_cost import kernel_distillation_circuits, kernel_tasks
from qdistill.evaluate.rates import read_rates
from qdistill.evaluate.savings import compare, distillation_circuits, distillation_note, find_record
from qdistill.quantum import layer_calls

SHOTS = 1024
"""Of each circuit, where a page says what it would cost."""


def count_executions(bundle: DistilledDataset, *, core_seconds: float | None = None) -> dict[str, Any]:
    """Count the circuits of a bundle's training by parameter shift, price them, and set them beside real inputs.

    Args:
        bundle: its architecture, inputs and schedule are read.
        core_seconds: what its distillation took, as `distillation_seconds` gives it.

    Returns:
        Plain data: `says`, the numbers in a sentence; `rows` of a name, how it is computed and the number of circuits;
        `training`, their total; `trainings`, those on the bundle and on real inputs with their accuracy, their circuits
        by either rule, and their prices; `cards`, the names of the rate cards; `points` of (circuits, accuracy) for a
        curve; and `notes`, what the numbers leave out. Empty, with a note, for a network without a quantum layer. Of a
        kernel, `rows` are the entries that it takes, for a prediction too, and there are no trainings.

    Raises:
        BundleError: the bundle does not say which network it is for.
    """
    if bundle.kernel is not None:
        return _of_kernel(bundle, core_seconds)
    calls = layer_calls(bundle.structure(), bundle.input_shape)
    if not calls:
        note = "The network has no quantum layer, so it runs no circuits."
        return {"says": "", "rows": [], "training": 0, "trainings": [], "cards": [], "points": [], "notes": [note]}
    n_inputs, n_steps = bundle.data.schedule.shape[1], bundle.inner.total_steps
    rows = []
    for number, call in enumerate(calls, start=1):
        which = f" of quantum layer {number}" if len(calls) > 1 else ""
        n_settings = settings(call.layer.observable)
        vectors = f"{call.vectors:,} vectors x " if call.vectors > 1 else ""
        rows += [
            {
                "name": f"one step: {name}{which}",
                "how": f"{n_inputs} inputs x {vectors}{n_settings} setting{'s' * (n_settings > 1)} x {n:,} evaluations",
                "circuits": n_inputs * call.vectors * n_settings * n,
            }
            for name, n in evaluations_per_gradient(call.layer, by_features=call.by_features).items()
        ]
    record, cards = find_record(bundle), read_rates()
    trainings = compare(bundle, record, shots=SHOTS)
    total = trainings[0].work.circuits
    rows.append({"name": f"the whole training of {n_steps} steps", "how": "", "circuits": total})
    work = trainings[0].work
    per_gradient = total // max(1, n_inputs * n_steps)
    notes = [
        f"Prices are for {SHOTS:,} shots a circuit; the source and date of each card are in the package's rates.toml.",
        f"A circuit as it is written has depth {work.depth} and {work.two_qubit_gates} two-qubit gates, state "
        "preparation included; on a device it is several times that.",
        "SPSA with 32 directions takes fewer circuits than the parameter-shift rule, and learns less from each.",
        distillation_note(core_seconds, distillation_circuits(bundle, per_gradient)),
    ]
    if record is None:
        notes.append("No training on real inputs was measured for this network: `qdistill cost BUNDLE --measure` does.")
    return {
        "says": f"Training on the distilled examples by the parameter-shift rule takes {total:,} circuits.",
        "rows": rows,
        "training": total,
        "trainings": [
            {
                "name": training.name,
                "accuracy": training.accuracy,
                "circuits": training.work.circuits,
                "by_spsa": work_of(calls, training.seen, shots=SHOTS, gradient="spsa").circuits,
                "ratio": training.work.circuits / total,
                "ratios_by_seed": training.seen_by_seed
                and [seen / trainings[0].seen for seen in training.seen_by_seed],
                "prices": [f"{card.price(training.work):,.0f} {card.currency}" for card in cards],
            }
            for training in trainings
        ],
        "cards": [card.name for card in cards],
        "points": []
        if record is None
        else [(per_gradient * row["seen"], sum(row["test"]) / len(row["test"])) for row in record["full"]],
        "notes": notes,
    }


def _of_kernel(bundle: DistilledDataset, core_seconds: float | None) -> dict[str, Any]:
    """The entries of a kernel's support points, and of all training points, as `count_executions` gives them."""
    tasks, cards = kernel_tasks(bundle, shots=SHOTS), read_rates()
    work = tasks[0].work
    prices = [
        f"{task.name}: " + "; ".join(f"{card.price(task.work):,.2f} {card.currency} ({card.name})" for card in cards)
        for task in tasks
    ]
    return {
        "says": f"The kernel matrix of the support points takes {work.circuits:,} circuits, one for each pair, and a "
        f"prediction {tasks[1].work.circuits:,}.",
        "rows": [{"name": task.name, "how": task.how, "circuits": task.work.circuits} for task in tasks],
        "training": work.circuits,
        "trainings": [],
        "cards": [],
        "points": [],
        "notes": [
            f"Prices for {SHOTS:,} shots a circuit, of cards in the package's rates.toml. " + ". ".join(prices) + ".",
            f"A circuit as it is written has depth {work.depth} and {work.two_qubit_gates} two-qubit gates; on a "
            "device it is several times that.",
            distillation_note(core_seconds, kernel_distillation_circuits(bundle)),
        ],
    }
