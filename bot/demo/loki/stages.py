"""The stages of a log pipeline, read from tokens."""

from collections.abc import Callable

from bot.demo.loki.addresses import address_test
from bot.demo.loki.extract import check_pattern
from bot.demo.loki.reader import TokenReader
from bot.demo.loki.refusal import ParseRefusal
from bot.demo.loki.regexes import compile_regex
from bot.demo.loki.syntax import (
    Decolorize,
    LabelChange,
    LabelChoice,
    LabelCompare,
    LabelCondition,
    LabelFilter,
    LabelFormat,
    LabelLogic,
    LineFilter,
    LineFormat,
    Matcher,
    Needle,
    Parser,
    Stage,
)
from bot.demo.loki.template import check_template
from bot.demo.loki.units import parse_query_duration, parse_size

_LINE_OPERATORS = ("|=", "|~", "|>", "!=", "!~", "!>")
_COMPARE_OPERATORS = ("=", "==", "!=", "=~", "!~", ">", ">=", "<", "<=")


def at_stage(reader: TokenReader) -> bool:
    """Whether a stage begins at the next token."""
    return reader.is_symbol("|", *_LINE_OPERATORS)


def stage(reader: TokenReader) -> Stage:
    """Takes one stage. Raises ParseRefusal."""
    if reader.is_symbol(*_LINE_OPERATORS):
        return _line_filter(reader)
    reader.symbol("|")
    read = _READERS.get(reader.token.text) if reader.token.kind == "word" else None
    if read is None:
        if reader.is_word("unwrap"):  # only a range aggregation takes it
            reader.unexpected()
        return LabelFilter(condition=_condition(reader))
    reader.take()
    return read(reader)


def _line_filter(reader: TokenReader) -> LineFilter:
    op = reader.take().text
    needles = [_needle(reader)]
    while reader.accept("or"):
        needles.append(_needle(reader))
    found = LineFilter(op=op, needles=tuple(needles))
    if op in ("|~", "!~"):
        for needle in needles:
            _checked(found, compile_regex, needle.text)
    return found


def _checked(shown: Stage, check: Callable[[str], object], text: str) -> None:
    try:
        check(text)
    except ParseRefusal as refusal:
        reason = refusal.text.removeprefix("parse error : ")
        raise ParseRefusal(f"stage '{shown}' : {reason}") from refusal


def _needle(reader: TokenReader) -> Needle:
    if not reader.accept("ip"):
        return Needle(text=reader.string("STRING or ip"))
    reader.symbol("(")
    text = reader.string()
    reader.symbol(")")
    address_test(text)
    return Needle(text=text, is_ip=True)


def _fields(reader: TokenReader) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    while reader.token.kind == "word":
        label = reader.take().text
        path = label
        if reader.accept("="):
            path = reader.string()
        found.append((label, path))
        if not reader.accept(","):
            break
    return tuple(found)


def _json(reader: TokenReader) -> Stage:
    return Parser(name="json", fields=_fields(reader))


def _logfmt(reader: TokenReader) -> Stage:
    flags: list[str] = []
    while reader.token.kind == "flag" and reader.token.text in ("--strict", "--keep-empty"):
        flags.append(reader.take().text)
    return Parser(name="logfmt", fields=_fields(reader), flags=tuple(flags))


def _unpack(_reader: TokenReader) -> Stage:
    return Parser(name="unpack")


def _pattern(reader: TokenReader) -> Stage:
    expression = reader.string()
    check_pattern(expression)
    return Parser(name="pattern", expression=expression)


def _regexp(reader: TokenReader) -> Stage:
    expression = reader.string()
    if not compile_regex(expression).groupindex:
        raise ParseRefusal("invalid regexp parser: at least one named capture must be supplied")
    return Parser(name="regexp", expression=expression)


def _line_format(reader: TokenReader) -> Stage:
    found = LineFormat(template=reader.string())
    _checked(found, check_template, found.template)
    return found


def _label_format(reader: TokenReader) -> Stage:
    changes: list[LabelChange] = []
    while True:
        name = reader.word()
        reader.symbol("=")
        if reader.token.kind == "string":
            changes.append(LabelChange(name=name, template=reader.take().text))
        else:
            changes.append(LabelChange(name=name, source=reader.word()))
        if not reader.accept(","):
            break
    found = LabelFormat(changes=tuple(changes))
    names = [change.name for change in changes]
    for change in changes:
        if names.count(change.name) > 1:
            raise ParseRefusal(
                f"stage '{found}' : multiple label name '{change.name}' not allowed in a single format operation"
            )
        _checked(found, check_template, change.template or "")
    return found


def _choice(op: str) -> Callable[[TokenReader], Stage]:
    def read(reader: TokenReader) -> Stage:
        items: list[str | Matcher] = []
        while True:
            name = reader.word()
            if reader.is_symbol("=", "!=", "=~", "!~"):
                items.append(Matcher(name=name, op=reader.take().text, value=reader.string()))
            else:
                items.append(name)
            if not reader.accept(","):
                return LabelChoice(op=op, items=tuple(items))

    return read


def _decolorize(_reader: TokenReader) -> Stage:
    return Decolorize()


_READERS: dict[str, Callable[[TokenReader], Stage]] = {
    "json": _json,
    "logfmt": _logfmt,
    "unpack": _unpack,
    "pattern": _pattern,
    "regexp": _regexp,
    "line_format": _line_format,
    "label_format": _label_format,
    "keep": _choice("keep"),
    "drop": _choice("drop"),
    "decolorize": _decolorize,
}


def _condition(reader: TokenReader) -> LabelCondition:
    left = _conjunction(reader)
    while reader.accept("or"):
        left = LabelLogic(op="or", left=left, right=_conjunction(reader))
    return left


def _conjunction(reader: TokenReader) -> LabelCondition:
    left = _comparison(reader)
    while reader.accept("and") or reader.accept(","):
        left = LabelLogic(op="and", left=left, right=_comparison(reader))
    return left


def _comparison(reader: TokenReader) -> LabelCondition:
    if reader.accept("("):
        inner = _condition(reader)
        reader.symbol(")")
        return inner
    if reader.token.kind != "word":
        reader.unexpected()
    name = reader.take().text
    if not reader.is_symbol(*_COMPARE_OPERATORS):
        reader.unexpected()
    op = reader.take().text
    return _compared(reader, name, op)


def _compared(reader: TokenReader, name: str, op: str) -> LabelCompare:
    if op in ("=", "!=", "=~", "!~") and (reader.token.kind == "string" or reader.is_word("ip")):
        needle = _needle(reader)
        if op in ("=~", "!~"):
            compile_regex(needle.text)
        kind = "ip" if needle.is_ip else "string"
        return LabelCompare(name=name, op=op, kind=kind, value=needle.text, spelling=str(needle))
    if op in ("=~", "!~"):
        reader.unexpected("STRING")
    sign = -1.0 if reader.accept("-") else 1.0
    kind, text = reader.token.kind, reader.token.text
    if kind not in _AMOUNTS:
        reader.unexpected()
    reader.take()
    value = sign * _AMOUNTS[kind](text)
    spelling = f"-{text}" if sign < 0 else text
    return LabelCompare(name=name, op="=" if op == "==" else op, kind=kind, value=value, spelling=spelling)


_AMOUNTS: dict[str, Callable[[str], float]] = {
    "number": float,
    "duration": parse_query_duration,
    "bytes": parse_size,
}
