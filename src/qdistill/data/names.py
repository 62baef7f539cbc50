"""Names of datasets and of classes: what may be one, so that every file and picture can show it."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AnySet
from typing import Any

import numpy as np

from qdistill.errors import ArgumentError


def as_name(argument: str, value: Any) -> str:
    """A name as a plain string.

    Raises:
        ArgumentError: it is no string, blank, or holds a control character or half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise ArgumentError(f"Argument `{argument}` must be a string, but was {value!r} of type {_kind(value)}.")
    name = str(value)
    if not name.strip():
        raise ArgumentError(f"Argument `{argument}` must not be blank, but was {name!r}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ArgumentError(
            f"Argument `{argument}` must hold no control characters and no lone surrogates, but was {name!r}."
        )
    return name


def as_class_names(value: Iterable[Any]) -> tuple[str, ...]:
    """The names of the classes as plain strings, in the order of the labels.

    Args:
        value: the names, in anything that has an order: a tuple, a list, an array.

    Raises:
        ArgumentError: there is none, one is no name (see `as_name`), two are equal, or they have no order.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (str, bytes, AnySet, Mapping)) or not isinstance(value, Collection):
        raise ArgumentError(
            f"Argument `class_names` must be a tuple of names in the order of the labels, but was {value!r}."
        )
    names = tuple(as_name(f"class_names[{place}]", name) for place, name in enumerate(value))
    if not names:
        raise ArgumentError("Argument `class_names` must name at least one class, but is empty.")
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ArgumentError(f"Argument `class_names` must hold each name once, but holds {twice!r} twice.")
    return names


def name_in_family(family: str, member: Any) -> str:
    """The name of a dataset that has fields: its family's, and the fields that do not have their defaults."""
    changed = [
        f"{field.name.replace('_', '-')}-{getattr(member, field.name)}"
        for field in dataclasses.fields(member)
        if getattr(member, field.name) != field.default
    ]
    return "-".join([family, *changed])


def _kind(value: Any) -> str:
    return type(value).__name__
