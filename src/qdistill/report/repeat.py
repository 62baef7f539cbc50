"""What a page says of a recipe: its rows, the command that repeats it, and the circuits that this names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, RunError
from qdistill.files import RECIPE
from qdistill.text import printable

_LONGEST_CIRCUIT = 200_000
"""Characters of a circuit that a page shows."""

_MOST_ROWS = 200
"""Of a recipe or of a provenance."""


def commands_of(
    command_of: Callable[..., str],
    recipe: dict[str, Any],
    provenance: Mapping[str, Any],
    bundle: DistilledDataset | None,
) -> str:
    """What makes the bundle: the distillation, other numbers of iterations later on, and a rounding."""
    changes = _changes(provenance)
    if changes and isinstance(recipe.get("outer"), dict):
        recipe = recipe | {"outer": recipe["outer"] | {"iterations": changes[0][1]}}
    lines = [command_of(recipe)]
    lines += [f"qdistill distill --resume RUN --iterations {now}  # from iteration {at}" for at, _, now in changes]
    if bundle is not None and bundle.eight_bit:
        lines.append("qdistill compress RUN SMALL.safetensors")
    return "\n".join(lines)


def _changes(provenance: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """From which iteration on a run had another number of iterations, the number before and the number after."""
    found = provenance.get("changes")
    names = ("iteration", "before", "after")
    whole = isinstance(found, list) and all(
        isinstance(change, dict) and all(isinstance(change.get(name), int) for name in names) for change in found
    )
    return [(change["iteration"], change["before"], change["after"]) for change in found or ()] if whole else []


def naming(command_of: Callable[..., str], of: Path) -> Callable[..., str]:
    """The same, but with the file named where it holds no recipe of this version: a RunError."""

    def named(recipe: Mapping[str, Any], seeds: Sequence[int] = ()) -> str:
        try:
            return command_of(recipe, seeds)
        except ArgumentError as error:
            raise RunError(f"Cannot read {of}: {error}") from error

    return named


def flat(plain: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested plain data as rows of a dotted name and a text, and how many more there are than are shown."""
    rows = list(itertools.islice(_rows(plain, ""), _MOST_ROWS))
    more = sum(1 for _ in _rows(plain, "")) - len(rows)
    return [*rows, ("...", f"and {more:,} more")] if more else rows


def _rows(plain: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in plain.items():
        if _is_circuit(value):
            yield prefix + name, f"a circuit of {len(value['operations']):,} operations on {value['n_wires']} wires"
        elif isinstance(value, dict) and value:
            yield from _rows(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            yield from _rows({str(number): part for number, part in enumerate(value, 1)}, f"{prefix}{name}.")
        else:
            shown = " ".join(str(part) for part in value) if isinstance(value, list) else value
            yield printable(prefix + name, 200), printable(shown, 500)


def circuit_file(field: str) -> str:
    """The file that a command names where a network's field is a circuit; a page shows what is to be in it."""
    return f"{field}.json"


def circuits_of(recipe: Mapping[str, Any], command: str | None) -> list[dict[str, str]]:
    """The names and texts of the files that a command names: the circuits of the user's own that a network has."""
    model = recipe.get("model")
    fields = model.get("fields") if isinstance(model, dict) else None
    found = []
    for field, value in fields.items() if isinstance(fields, dict) else ():
        name = circuit_file(field)
        if not _is_circuit(value) or f" {name}" not in (command or ""):
            continue
        text = json.dumps(value)
        if len(text) > _LONGEST_CIRCUIT:
            text = f"Too long for a page: the value of model.fields.{field} in {RECIPE}, {len(text):,} characters."
        found.append({"name": name, "text": text})
    return found


def _is_circuit(value: Any) -> bool:
    return isinstance(value, dict) and {"n_wires", "operations"} <= set(value) and isinstance(value["operations"], list)
