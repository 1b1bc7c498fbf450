"""LogQL text read into the parts of `syntax`; what does not parse is refused at the place where Loki refuses it."""

from functools import lru_cache

from bot.demo.loki.reader import TokenReader
from bot.demo.loki.refusal import ParseRefusal, Refusal
from bot.demo.loki.stages import at_stage, stage
from bot.demo.loki.syntax import (
    BinaryOperation,
    Grouping,
    LabelReplace,
    Literal,
    LogSelector,
    Matcher,
    Matching,
    Metric,
    Query,
    RangeAggregation,
    Stage,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
)
from bot.demo.loki.units import parse_query_duration
from bot.demo.loki.validation import check_range_aggregation, check_selector

RANGE_OPERATIONS = frozenset(
    f"{name}_over_time"
    for name in "count bytes avg sum min max first last stddev stdvar quantile absent".split()  # noqa: SIM905
) | {"rate", "rate_counter", "bytes_rate"}
VECTOR_OPERATIONS = frozenset(
    {"sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc", "approx_topk"}
)
_WITH_PARAMETER = frozenset({"topk", "bottomk", "approx_topk"})
_FUNCTIONS = RANGE_OPERATIONS | VECTOR_OPERATIONS | {"vector", "label_replace"}
_MATCH_OPERATORS = ("=", "!=", "=~", "!~")
_COMPARISONS = frozenset({"==", "!=", ">", ">=", "<", "<="})
_PRECEDENCE = (
    {"or"},
    {"and", "unless"},
    _COMPARISONS,
    {"+", "-"},
    {"*", "/", "%"},
    {"^"},
)


@lru_cache(maxsize=1024)
def parse_query(text: str) -> Query:
    """The log or metric query `text` stands for. Raises ParseRefusal."""
    query = _read(text)
    if isinstance(query, LogSelector):
        check_selector(query)
    return query


def parse_matchers(text: str, *, any_stream: bool) -> tuple[Matcher, ...]:
    """The matchers of `{...}`; `any_stream` allows those that match everything. Raises ParseRefusal, Refusal."""
    query = _read(text)
    if not isinstance(query, LogSelector) or query.stages:
        raise Refusal(400, "only label matchers are supported")
    if not any_stream:
        check_selector(query)
    return query.matchers


def _read(text: str) -> Query:
    reader = _Grammar(text)
    try:
        query = reader.expression()
    except RecursionError as error:
        raise ParseRefusal("brackets are nested too deeply") from error
    if reader.token.kind != "end":
        reader.unexpected()
    return query


class _Grammar(TokenReader):
    """Reads one query, loosest binding operation first. Raises ParseRefusal."""

    def expression(self, level: int = 0) -> Query:
        """Takes operations of this level of precedence and above."""
        if level == len(_PRECEDENCE):
            return self._operand()
        left = self.expression(level + 1)
        while self.token.kind in ("symbol", "word") and self.token.text.lower() in _PRECEDENCE[level]:
            op = self.take().text.lower()
            return_bool = self.accept("bool")
            matching = self._matching()
            # The power operator binds to the right, all others to the left.
            right = self.expression(level if op == "^" else level + 1)
            left = _operation(op, left, right, return_bool, matching)
        return left

    def _matching(self) -> Matching:
        labels: tuple[str, ...] = ()
        include: tuple[str, ...] = ()
        on, many = False, ""
        if self.is_word("on", "ignoring"):
            on = self.take().text.lower() == "on"
            labels = self.names()
            if self.is_word("group_left", "group_right"):
                many = self.take().text.lower().removeprefix("group_")
                include = self.names() if self.is_symbol("(") else ()
        return Matching(labels=labels, on=on, many=many, include=include)

    def _operand(self) -> Query:
        if self.accept("("):
            inner = self.expression()
            self.symbol(")")
            return inner
        if self.is_symbol("{"):
            return self._selector()
        if self.token.kind == "number" or self.is_symbol("-", "+"):
            self.accept("+")
            return Literal(value=self.number())
        if not self._is_function():
            self.unexpected()
        return self._function()

    def _is_function(self) -> bool:
        if self.token.kind != "word" or self.token.text not in _FUNCTIONS:
            return False
        after = self.ahead(1)
        if after.kind == "word" and after.text.lower() in ("by", "without"):
            after = self.ahead(2)
        return after.kind == "symbol" and after.text == "("

    def _function(self) -> Metric:
        name = self.take().text
        if name in RANGE_OPERATIONS:
            return self._range_aggregation(name)
        if name in VECTOR_OPERATIONS:
            return self._vector_aggregation(name)
        self.symbol("(")
        if name == "vector":
            value = self.number()
            self.symbol(")")
            return VectorLiteral(value=value)
        return self._label_replace()

    def _label_replace(self) -> LabelReplace:
        inner = self._metric()
        texts: list[str] = []
        for _ in range(4):
            self.symbol(",")
            texts.append(self.string())
        self.symbol(")")
        target, replacement, source, regex = texts
        return LabelReplace(inner=inner, target=target, replacement=replacement, source=source, regex=regex)

    def _metric(self) -> Metric:
        inner = self.expression()
        if isinstance(inner, LogSelector):
            self.unexpected()
        return inner

    def _grouping(self) -> Grouping | None:
        if not self.is_word("by", "without"):
            return None
        without = self.take().text.lower() == "without"
        return Grouping(labels=self.names(), without=without)

    def _vector_aggregation(self, op: str) -> VectorAggregation:
        grouping = self._grouping()
        self.symbol("(")
        parameter = None
        if op in _WITH_PARAMETER:
            parameter = self.number()
            self.symbol(",")
        inner = self._metric()
        self.symbol(")")
        return VectorAggregation(op=op, inner=inner, parameter=parameter, grouping=grouping or self._grouping())

    def _range_aggregation(self, op: str) -> RangeAggregation:
        self.symbol("(")
        parameter = None
        if self.token.kind == "number":
            parameter = self.number()
            self.symbol(",")
        parts = self._range_parts()
        self.symbol(")")
        aggregation = RangeAggregation(
            op=op,
            selector=LogSelector(matchers=parts.matchers, stages=tuple(parts.stages)),
            range_ns=parts.range_ns,
            parameter=parameter,
            unwrap=parts.unwrap,
            after_unwrap=tuple(parts.after_unwrap),
            offset_ns=parts.offset_ns,
            grouping=self._grouping(),
        )
        check_range_aggregation(aggregation)
        return aggregation

    def _range_parts(self) -> "_RangeParts":
        parts = _RangeParts()
        in_brackets = self.accept("(")
        parts.matchers = self._matchers()
        self._range_or_stages(parts)
        if in_brackets:
            self.symbol(")")
            self._range_or_stages(parts)
        if not parts.range_ns:
            self.unexpected()
        return parts

    def _range_or_stages(self, parts: "_RangeParts") -> None:
        while True:
            if self.token.kind == "range" and not parts.range_ns:
                parts.range_ns = parse_query_duration(self.take().text)
                parts.offset_ns = self._offset()
            elif self.is_symbol("|") and self.ahead(1).kind == "word" and self.ahead(1).text == "unwrap":
                self.take()
                self.take()
                parts.unwrap = self._unwrap()
            elif at_stage(self):
                (parts.after_unwrap if parts.unwrap else parts.stages).append(stage(self))
            else:
                return

    def _offset(self) -> int:
        if not self.accept("offset"):
            return 0
        sign = -1 if self.accept("-") else 1
        if self.token.kind != "duration":
            self.unexpected("DURATION")
        return sign * parse_query_duration(self.take().text)

    def _unwrap(self) -> Unwrap:
        name = self.word()
        if not self.is_symbol("("):
            return Unwrap(label=name)
        if name not in ("duration", "duration_seconds", "bytes"):
            self.unexpected()
        label = self.names()
        if len(label) != 1:
            self.unexpected("IDENTIFIER")
        return Unwrap(label=label[0], conversion=name)

    def _selector(self) -> LogSelector:
        matchers = self._matchers()
        found: list[Stage] = []
        while at_stage(self):
            found.append(stage(self))
        return LogSelector(matchers=matchers, stages=tuple(found))

    def _matchers(self) -> tuple[Matcher, ...]:
        self.symbol("{")
        found: list[Matcher] = []
        while not self.is_symbol("}"):
            name = self.word()
            op = self.symbol(*_MATCH_OPERATORS)
            found.append(Matcher(name=name, op=op, value=self.string()))
            if not self.is_symbol("}"):
                self.symbol(",", "}") if self.is_symbol(",") else self.unexpected("} or ,")
        self.symbol("}")
        return tuple(found)


class _RangeParts:
    """What is collected between the brackets of a range aggregation."""

    def __init__(self) -> None:
        self.matchers: tuple[Matcher, ...] = ()
        self.stages: list[Stage] = []
        self.unwrap: Unwrap | None = None
        self.after_unwrap: list[Stage] = []
        self.range_ns = 0
        self.offset_ns = 0


def _operation(op: str, left: Query, right: Query, return_bool: bool, matching: Matching) -> Metric:
    left, right = _metric_leg("left", op, left), _metric_leg("right", op, right)
    if op in ("or", "and", "unless") and (isinstance(left, Literal) or isinstance(right, Literal)):
        raise ParseRefusal(f"unexpected literal in a leg of logical/set binary operation ({op})")
    return BinaryOperation(op=op, left=left, right=right, return_bool=return_bool, matching=matching)


def _metric_leg(side: str, op: str, leg: Query) -> Metric:
    if isinstance(leg, LogSelector):
        raise ParseRefusal(f"unexpected type for {side} leg of binary operation ({op}): a log query")
    return leg
