"""LogQL text cut into tokens that know their line and column (both from 1)."""

import re
from dataclasses import dataclass

from bot.demo.loki.units import parse_query_duration

# Longest first, so that `|=` is not read as `|` and `=`.
_SYMBOLS = ("|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", *"{}()[],|=<>+-*/%^.")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FLAG = re.compile(r"--[a-z-]+")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_AMOUNT = re.compile(r"[\d.]+[A-Za-zµ][\dA-Za-zµ.]*")
_BYTES = re.compile(r"\d+(?:\.\d+)?(?:[kKMGTPE]i?)?[bB]")
_SPACE = re.compile(r"(?:\s+|#[^\n]*)+")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`kind` is word, string, number, duration, bytes, range, symbol, flag, end or error.

    `text` is the unquoted string, the spelling of the word or symbol, or the reason of an error.
    """

    kind: str
    text: str
    line: int
    column: int


def tokens(query: str) -> list[Token]:
    """The tokens of `query`, the last of kind `end`.

    What cannot be read becomes a token of kind `error` and ends the list, so that an error further left is reported first.
    """
    found: list[Token] = []
    at = 0
    while True:
        space = _SPACE.match(query, at)
        at = space.end() if space else at
        kind, text, after = _next(query, at)
        at = after if kind == "end" else at
        line = query.count("\n", 0, at) + 1
        column = at - query.rfind("\n", 0, at)
        if kind == "bad range":
            kind, line = "error", 0  # Loki reports an unreadable range with line 0
        found.append(Token(kind=kind, text=text, line=line, column=column))
        if kind in ("end", "error"):
            return found
        at = after


def _next(query: str, at: int) -> tuple[str, str, int]:
    if at >= len(query):
        return "end", "$end", at
    first = query[at]
    if first in "\"`'":
        return _string(query, at)
    if first == "[":
        return _range(query, at)
    if first.isdigit() or (first == "." and query[at + 1 : at + 2].isdigit()):
        return _amount(query, at)
    if flag := _FLAG.match(query, at):
        return "flag", flag.group(), flag.end()
    if word := _WORD.match(query, at):
        return "word", word.group(), word.end()
    for symbol in _SYMBOLS:
        if query.startswith(symbol, at):
            return "symbol", symbol, at + len(symbol)
    return "error", f"syntax error: unexpected {first}", at


def _string(query: str, at: int) -> tuple[str, str, int]:
    quote = query[at]
    if quote == "'":
        return "error", "invalid char literal", at
    if quote == "`":
        end = query.find("`", at + 1)
        return ("error", "literal not terminated", at) if end < 0 else ("string", query[at + 1 : end], end + 1)
    found = re.compile(r'"((?:[^"\\\n]|\\.)*)"').match(query, at)
    if not found:
        return "error", "literal not terminated", at
    return "string", _ESCAPE.sub(_unescape, found.group(1)), found.end()


def _unescape(found: re.Match[str]) -> str:
    body = found.group(1)
    if body[0] in "xuU" and len(body) > 1:
        return chr(int(body[1:], 16))
    if len(body) == 3:
        return chr(int(body, 8))
    return _SIMPLE_ESCAPES.get(body, body)


def _range(query: str, at: int) -> tuple[str, str, int]:
    end = query.find("]", at)
    if end < 0:
        return "error", "syntax error: unexpected $end", at
    text = query[at + 1 : end].strip()
    try:
        parse_query_duration(text)
    except ValueError as reason:
        return "bad range", str(reason), at
    return "range", text, end + 1


def _amount(query: str, at: int) -> tuple[str, str, int]:
    amount = _AMOUNT.match(query, at)
    number = _NUMBER.match(query, at)
    if number and (not amount or number.end() >= amount.end()):
        return "number", number.group(), number.end()
    if not amount:
        return "error", "syntax error: unexpected .", at
    text = amount.group()
    if _BYTES.fullmatch(text):
        return "bytes", text, amount.end()
    try:
        parse_query_duration(text)
    except ValueError:
        # Loki swallows an amount with an unknown unit and then misses the rest of the query.
        return "end", "$end", amount.end()
    return "duration", text, amount.end()
