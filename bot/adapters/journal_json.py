"""What dbos writes for us: plain JSON, errors included.

dbos' default is pickle, with which whoever can write the database could run code in the bot. Its own JSON format keeps
the whole text of an error (it may quote a secret) and forgets its type (a story that catches StoreError would not catch it
after a restart); this one keeps the parts of a GroundwireError, and of any other error the type's name.
"""

import json
from typing import Any

from dbos import Serializer

from bot import errors
from bot.errors import GroundwireError

_RAISED = "raised"
_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, GroundwireError)
}


class RecordedFailure(Exception):
    """An error of an earlier run that was not a GroundwireError: only the name of its type was kept."""


class JsonSerializer(Serializer):
    """JSON in ASCII: half a surrogate pair, which a message may hold, could not be written otherwise."""

    def name(self) -> str:
        return "groundwire_json"  # stands in every row; rows under another name cannot be read

    def serialize(self, data: Any) -> str:
        return json.dumps({_RAISED: _parts(data)} if isinstance(data, Exception) else {"value": data})

    def deserialize(self, serialized_data: str) -> Any:
        data = json.loads(serialized_data)
        return _error(data[_RAISED]) if _RAISED in data else data["value"]


def _parts(error: Exception) -> list[str]:
    if isinstance(error, GroundwireError):
        return [type(error).__name__, error.code, error.message, error.remedy]
    return [type(error).__name__]


def _error(parts: list[str]) -> Exception:
    name, *told = parts
    if told:
        return _ERRORS.get(name, GroundwireError)(*told)
    return RecordedFailure(name)
