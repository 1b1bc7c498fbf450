"""Nouns to JSON and back, without loss: what the store, the journal, `--json` and saved incidents use.

A union carries the name of its type under "type"; NaN (no sample) is null. In the long rows of numbers, which are mostly
quiet, a run of equal ones is written once as [value, times]: `[0, 0, 0, 0, 0, 3]` is `[[0, 5], 3]`.
"""

import math
from collections.abc import Iterable
from itertools import chain, groupby, repeat
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.strategies import configure_tagged_union

from bot.domain.evidence import Body, Pattern
from bot.domain.series import Series

Json = Any  # what json.dumps takes: dict, list, str, int, float, bool or None
T = TypeVar("T")

# Shorter runs are no shorter as [value, times].
_RUN = 4
# Below this a whole number is the same as int and as float.
_WHOLE_BELOW = 2.0**53


def to_json(noun: object) -> Json:
    """The noun as dicts, lists, strings and numbers."""
    return _CONVERTER.unstructure(noun)


def from_json(kind: type[T], data: Json) -> T:
    """The noun that `to_json` wrote. Raises cattrs' ClassValidationError when the data is not of that kind."""
    return _CONVERTER.structure(data, kind)


def _number(value: float) -> float | int | None:
    """The number in its shortest form: 3, not 3.0."""
    if float(value).is_integer() and abs(value) < _WHOLE_BELOW:
        return int(value)
    return None if math.isnan(value) else value


def _read_number(value: float | None, _: object = float) -> float:
    return math.nan if value is None else float(value)


def _in_runs(numbers: Iterable[float | None]) -> list[Json]:
    """The numbers, each run of equal ones as [value, times]."""
    packed: list[Json] = []
    for value, group in groupby(numbers):
        run = list(group)
        packed += run if len(run) < _RUN else [[value, len(run)]]
    return packed


def _out_of_runs(data: list[Json]) -> Iterable[Json]:
    return chain.from_iterable(repeat(*one) if isinstance(one, list) else (one,) for one in data)


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False, prefer_attrib_converters=True)
    converter.register_unstructure_hook(float, _number)
    converter.register_structure_hook(float, _read_number)
    values = override(
        unstruct_hook=lambda values: _in_runs(map(_number, values)),
        struct_hook=lambda data, _: tuple(map(_read_number, _out_of_runs(data))),
    )
    counts = override(
        unstruct_hook=_in_runs,
        struct_hook=lambda data, _: tuple(map(int, _out_of_runs(data))),
    )
    converter.register_unstructure_hook(Series, make_dict_unstructure_fn(Series, converter, values=values))
    converter.register_structure_hook(Series, make_dict_structure_fn(Series, converter, values=values))
    converter.register_unstructure_hook(Pattern, make_dict_unstructure_fn(Pattern, converter, buckets=counts))
    converter.register_structure_hook(Pattern, make_dict_structure_fn(Pattern, converter, buckets=counts))
    configure_tagged_union(Body, converter, tag_name="type")
    return converter


_CONVERTER = _converter()
