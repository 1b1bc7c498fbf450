"""The part of Go's templates that log queries use: `{{.label}}`, `{{.label | function}}`, `{{function argument}}`."""

import re
from collections.abc import Callable
from functools import lru_cache

from bot.demo.loki.refusal import ParseRefusal

# label name -> value; the line itself is `__line__`, its time `__timestamp__`.
Lookup = Callable[[str], str]
_Piece = Callable[[Lookup], str]

_WORD = re.compile(r'\s*(\.[A-Za-z_]\w*|__line__|__timestamp__|"(?:[^"\\]|\\.)*"|`[^`]*`|-?\d+|[A-Za-z]\w*)\s*')
_ACTION = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)


def _truncated(count: str, text: str) -> str:
    length = int(count) if re.fullmatch(r"-?\d+", count) else len(text)
    return text[:length] if length >= 0 else text[length:]


# name -> number of arguments, function
_FUNCTIONS: dict[str, tuple[int, Callable[..., str]]] = {
    "upper": (1, str.upper),
    "ToUpper": (1, str.upper),
    "lower": (1, str.lower),
    "ToLower": (1, str.lower),
    "title": (1, str.title),
    "trim": (1, str.strip),
    "len": (1, lambda text: str(len(text.encode()))),
    "default": (2, lambda fallback, text: text or fallback),
    "replace": (3, lambda old, new, text: text.replace(old, new)),
    "trimPrefix": (2, lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": (2, lambda suffix, text: text.removesuffix(suffix)),
    "trunc": (2, _truncated),
}


def check_template(text: str) -> None:
    """Raises ParseRefusal for a template that cannot be used."""
    compile_template(text)


@lru_cache(maxsize=256)
def compile_template(text: str) -> Callable[[Lookup], str]:
    """Turns labels into text. Raises ParseRefusal."""
    pieces: list[_Piece] = []
    at = 0
    for action in _ACTION.finditer(text):
        pieces.append(_constant(text[at : action.start()]))
        pieces.append(_pipeline(action.group(1)))
        at = action.end()
    if "{{" in text[at:]:
        raise ParseRefusal("invalid line template: template: line:1: unclosed action")
    pieces.append(_constant(text[at:]))
    return lambda lookup: "".join(piece(lookup) for piece in pieces)


def _constant(text: str) -> _Piece:
    return lambda _lookup: text


def _pipeline(text: str) -> _Piece:
    first, *others = text.split("|")
    value = _command(first, None)
    for command in others:
        value = _command(command, value)
    return value


def _command(text: str, piped: _Piece | None) -> _Piece:
    words = [found.group(1) for found in _WORD.finditer(text)]
    if "".join(words) != "".join(text.split()) and not any(word[0] in '"`' for word in words):
        raise ParseRefusal("invalid line template: template: line:1: unexpected text in operand")
    if not words:
        raise ParseRefusal("invalid line template: template: line:1: missing value for command")
    is_call = words[0] not in ("__line__", "__timestamp__") and words[0][0].isalpha()
    arguments = [_operand(word) for word in (words[1:] if is_call else words)] + ([piped] if piped else [])
    if not is_call:
        return arguments[0]
    if words[0] not in _FUNCTIONS:
        raise ParseRefusal(f'invalid line template: template: line:1: function "{words[0]}" not defined')
    wanted, function = _FUNCTIONS[words[0]]
    if len(arguments) != wanted:
        raise ParseRefusal(f"invalid line template: template: line:1: wrong number of args for {words[0]}")
    return lambda lookup: function(*(argument(lookup) for argument in arguments))


def _operand(word: str) -> _Piece:
    if word[0] == ".":
        return lambda lookup: lookup(word[1:])
    if word[0] in '"`':
        return _constant(word[1:-1])
    if word in ("__line__", "__timestamp__"):
        return lambda lookup: lookup(word)
    return _constant(word)
