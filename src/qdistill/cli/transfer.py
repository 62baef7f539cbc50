"""`qdistill evaluate BUNDLE --on ARCHITECTURE...`: other networks, trained on the examples of a bundle."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdistill.cli.output import tell, tell_json
from qdistill.cli.shared import splits_of
from qdistill.errors import ArgumentError
from qdistill.fields import from_table
from qdistill.files import TRANSFER, write_json

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.transfer import PlainTraining
    from qdistill.models import Architecture

OWN = "own"
"""How the bundle's own architecture is called."""


def networks_of(words: Sequence[str], own: Architecture | None) -> dict[str, Architecture]:
    """Architectures by the words that name them.

    Args:
        words: ``NAME`` or ``NAME:FIELD=VALUE,FIELD=VALUE``; the name is one that ``--architecture`` takes, or ``own``.
            What is not given is as the bundle's own network has it, where that is of the same kind. A value of
            several is a list of JSON, ``FIELD=[0,1]``.
        own: the bundle's architecture.

    Raises:
        ArgumentError: an unknown name or field, a field twice, a bad value, or a network twice.
    """
    from qdistill.models import architecture_options

    kinds = architecture_options()
    networks: dict[str, Architecture] = {}
    for word in words:
        name, colon, rest = word.partition(":")
        if name != OWN and name not in kinds:
            raise ArgumentError.unknown("on", name, [OWN, *kinds])
        if name == OWN and own is None:
            raise ArgumentError("Argument `on` must not be 'own' for a bundle that does not describe its network.")
        if word in networks:
            raise ArgumentError(f"Argument `on` must be different networks, but {word!r} is there twice.")
        kind = type(own) if name == OWN else kinds[name]
        fields = fields_of(rest, word) if colon else {}
        network = from_table(kind, fields, "on", default=own if type(own) is kind else None)
        for other, known in networks.items():
            if network == known:
                raise ArgumentError(f"Argument `on` must be different networks, but {word!r} is the same as {other!r}.")
        networks[word] = network
    return networks


def fields_of(text: str, word: str) -> dict[str, Any]:
    """FIELD=VALUE,FIELD=VALUE as a table; a comma ends a value only where a field follows it."""
    fields: dict[str, Any] = {}
    for part in re.split(r",(?=\s*[\w-]+\s*=)", text):
        name, equals, value = part.partition("=")
        if not equals:
            raise ArgumentError(f"Argument `on` must be NAME or NAME:FIELD=VALUE,FIELD=VALUE, but was {word!r}.")
        name = name.strip().replace("-", "_")
        if name in fields:
            raise ArgumentError(f"Argument `on` must give each field once, but {word!r} gives `{name}` twice.")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def evaluate_on(
    loaded: DistilledDataset,
    given: Path,
    path: Path,
    words: Sequence[str],
    plain: PlainTraining,
    *,
    draws: int,
    seed: int,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Train each network, print its row, and keep all beside a run for its report."""
    from qdistill.evaluate.protocol import spread
    from qdistill.evaluate.transfer import transfer

    networks = networks_of(words, loaded.architecture)
    splits = splits_of(loaded, data_dir)
    found = transfer(loaded, networks, splits, draws=draws, seed=seed, plain=plain)
    record = loaded.record.test_accuracy
    distilled_for = "known" if loaded.drawn_anew is None else "unknown"
    content: dict[str, Any] = {"bundle": str(path), "dataset": loaded.dataset, "distilled_for": distilled_for}
    content |= {"draws": draws, "seed": seed, "record": record, "rows": []}
    if not as_json:
        tell(f"{path} on the test set of {loaded.dataset}: networks trained on its examples, {draws} draws of each")
        tell(f"  {'network':<36} {'training':<10} {'labels':<8} {'mean':>8} {'±':>8} {'worst':>8} {'circuits':>12}")
    for row in found:
        each = dataclasses.asdict(row)
        accuracies = row.evaluation.test_accuracies
        each |= {"spread": spread(accuracies), "worst": min(accuracies)}
        content["rows"].append(each)
        if not as_json:
            apart = "" if each["spread"] is None else f"{each['spread']:.2%}"
            tell(
                f"  {row.network:<36} {row.training:<10} {row.labels:<8} {row.evaluation.mean:>8.2%} {apart:>8} "
                f"{each['worst']:>8.2%} {row.circuits:>12,}"
            )
    if given.is_dir():
        write_json(given / TRANSFER, content)
    if as_json:
        tell_json(content)
    return 0
