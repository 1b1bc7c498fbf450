"""What the journal writes comes back as it was."""

import json

import pytest

from bot.adapters.journal_json import JsonSerializer, RecordedFailure
from bot.domain.codec import Json
from bot.errors import GroundwireError, QueryRefused, StoreError


def back_and_forth(value: object) -> object:
    return JsonSerializer().deserialize(JsonSerializer().serialize(value))


@pytest.mark.parametrize(
    "value",
    [None, 1, "\ud83d half, \x00 and 😀", [1, [2]], {"raised": ["StoreError", "a", "b", "c"]}, {"value": {"value": 1}}],
)
def test_a_result_comes_back_whatever_it_looks_like(value: Json) -> None:
    assert back_and_forth(value) == value


@pytest.mark.parametrize("kind", [GroundwireError, StoreError, QueryRefused])
def test_an_error_of_ours_comes_back_with_its_type_and_parts(kind: type[GroundwireError]) -> None:
    error = back_and_forth(kind("MET-001", "down", "start it"))

    assert type(error) is kind
    assert (error.code, error.message, error.remedy) == ("MET-001", "down", "start it")


def test_of_any_other_error_only_its_kind_is_kept() -> None:
    error = back_and_forth(ValueError("token is abc"))

    assert isinstance(error, RecordedFailure)
    assert str(error) == "ValueError"


def test_an_error_this_version_does_not_know_is_still_ours() -> None:
    written = json.dumps({"raised": ["LaterError", "NEW-001", "new", "update"]})

    assert type(JsonSerializer().deserialize(written)) is GroundwireError


def test_what_is_not_json_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError):
        JsonSerializer().serialize({"a": object()})
