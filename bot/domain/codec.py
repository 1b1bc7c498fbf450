"""Nouns to JSON and back, without loss: what the store, the journal, `--json` and saved incidents use.

A union carries the name of its type under "type"; NaN (no sample) is null.
"""

import math
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.strategies import configure_tagged_union

from bot.domain.evidence import Body
from bot.domain.series import Series

Json = Any  # what json.dumps takes: dict, list, str, int, float, bool or None
T = TypeVar("T")


def to_json(noun: object) -> Json:
    """The noun as dicts, lists, strings and numbers."""
    return _CONVERTER.unstructure(noun)


def from_json(kind: type[T], data: Json) -> T:
    """The noun that `to_json` wrote. Raises cattrs' ClassValidationError when the data is not of that kind."""
    return _CONVERTER.structure(data, kind)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _read_number(value: float | None, _: type) -> float:
    return math.nan if value is None else float(value)


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False, prefer_attrib_converters=True)
    converter.register_unstructure_hook(float, _number)
    converter.register_structure_hook(float, _read_number)
    configure_tagged_union(Body, converter, tag_name="type")
    return converter


_CONVERTER = _converter()
_CONVERTER.get_structure_hook(Series)  # compiled once, at start, not inside the first investigation
