"""The time window in a question, and its `key=value` overrides.

A phrase is found by patterns, read into the parts people say (a day, a time of day, a zone) and only then placed on the
clock, in the zone of whoever asks. What had to be assumed is said in a sentence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from bot.errors import AskError

LONGEST_S = 7 * 86_400  # longer windows drown an incident in ordinary days, and sources refuse them
AROUND_S = 15 * 60  # "at 14:02": a quarter of an hour either side shows the time before and what came of it

_EXAMPLES = 'Write for example "last 2h", "since 14:00" or "yesterday 9 to 10".'


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPhrase:
    """A window in UTC unix seconds, and where in the text (`start:end`) it was said. `assumption` is "" or sentences."""

    start_s: float
    end_s: float
    start: int
    end: int
    assumption: str = ""


def read_window(text: str, *, now_s: float, zone: ZoneInfo) -> WindowPhrase | None:
    """The window that `text` speaks of, or None where it speaks of none.

    Raises AskError for a window that is empty, reversed, in the future or longer than seven days, for dates that do
    not exist, and for a number after a word such as "since" or "last" that looks like a time and is none.
    """
    text = text[:_LONGEST_TEXT]
    _refuse_what_only_looks_like_a_time(text)
    now = datetime.fromtimestamp(now_s, UTC)
    for pattern, read in _PHRASES:
        if found := pattern.search(text):
            reader = _Reader(now=now, zone=zone)
            start, end = read(reader, found)
            return _checked(reader, start, end, found)
    return None


def read_overrides(text: str) -> tuple[dict[str, str], str]:
    """The `service= env= namespace= since= until=` parts of a question (values may be quoted), and the rest of it.

    A key said twice counts as said last. Raises AskError for a key that nothing follows.
    """
    overrides = {found.group(1).lower(): _unquoted(found.group(2)) for found in _OVERRIDE.finditer(text)}
    rest = _OVERRIDE.sub(" ", text)
    if lost := _KEY.search(rest):
        key = lost.group(1).lower()
        raise AskError(_CODES[key], f"Nothing follows {key}= in the question.", f"Write {key}=… or leave it away.")
    return overrides, " ".join(rest.split())


_LONGEST_TEXT = 4_000  # characters; nobody says a time later than that
_CODES = {"service": "ASK-010", "env": "ASK-011", "namespace": "ASK-011", "since": "ASK-030", "until": "ASK-030"}
_KEY = re.compile(rf"(?<![\w.\-])({'|'.join(_CODES)})=(?=[\s\"'“”]|$)", re.IGNORECASE)
_OVERRIDE = re.compile(
    rf"(?<![\w.\-])({'|'.join(_CODES)})=\s{{0,5}}(?!(?:{'|'.join(_CODES)})=)"
    r"(\"[^\"]*\"|'[^']*'|“[^”]*”|[^\s\"'“”]+)",
    re.IGNORECASE,
)


def _unquoted(value: str) -> str:
    return value[1:-1].strip() if value[0] in "\"'“" else value


# --- what is said ----------------------------------------------------------------------------------------------------

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNIT = r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|[smhdw])(?![A-Za-z])"
_AMOUNT = r"(?:half an|an?|one|two|three|four|five|six|ten|couple of|a couple of|few|a few|\d{1,15}(?:\.\d{1,3})?)"
_DURATION = rf"{_AMOUNT}[ -]?{_UNIT}(?:[ ,]{{0,2}}(?:and )?\d{{1,4}} ?{_UNIT})?"
_NUMBERS = {
    "half an": 0.5,
    **dict.fromkeys(("a", "an", "one"), 1),
    **dict.fromkeys(("two", "couple of", "a couple of"), 2),
    **dict.fromkeys(("three", "few", "a few"), 3),
    "four": 4,
    "five": 5,
    "six": 6,
    "ten": 10,
}
_PART = re.compile(rf"({_AMOUNT})[ -]?({_UNIT})", re.IGNORECASE)

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_DAY = rf"(?:today|yesterday|tomorrow|(?:last )?{_WEEKDAY}|\d{{4}}-\d{{2}}-\d{{2}})(?![\w-])"
_CLOCK = (
    r"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?: ?[ap]\.?m\b\.?)?"
    r"|(?:1[0-2]|0?[1-9]) ?[ap]m\b|noon\b|midnight\b"
)
_OFFSET = r"(?: ?(?:Z|UTC|GMT)\b| ?[+-]\d{2}:?\d{2}\b)?"
_TIME = rf"(?:{_CLOCK}){_OFFSET}(?![\w:])"
_HOUR = r"(?:[01]?\d|2[0-4])(?![\w:.%/-])"
_STAMP = rf"\d{{4}}-\d{{2}}-\d{{2}}[T ](?:{_CLOCK}){_OFFSET}(?![\w:])"
_AGO = rf"{_DURATION} ago\b"
_MOMENT = rf"(?:{_STAMP}|{_DAY}(?:,? (?:at )?(?:{_TIME}|{_HOUR}))?|{_TIME}(?: (?:on )?{_DAY})?|{_AGO}|now\b)"
_TO = r" ?(?:\bto\b|\buntil\b|\btill\b|\band\b|\bthrough\b|-|–|—) ?"
_EDGE = r"(?<![\w.:/=-])"


def _phrase(pattern: str) -> re.Pattern[str]:
    # One space in a pattern is any short run of white space in the text; the bound keeps the search linear.
    return re.compile(
        re.sub(r"(?<!\[)(?<!\\) (?![\]-])", r"\\s{1,5}", pattern.replace(" ?", r"\s{0,5}")), re.IGNORECASE
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    """A moment in the parts it was said in; what was not said is None."""

    day: date | None = None
    at: time | None = None
    offset: tzinfo | None = None
    exact: datetime | None = None  # "10 minutes ago", "now"
    next_day: bool = False  # 24:00


@dataclass(slots=True)
class _Reader:
    """Reads moments against one clock and one zone, and collects what had to be assumed."""

    now: datetime
    zone: ZoneInfo
    assumptions: tuple[str, ...] = ()

    def assume(self, sentence: str) -> None:
        if sentence not in self.assumptions:
            self.assumptions += (sentence,)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def moment(self, text: str) -> _Spoken:
        """The parts of a moment as said."""
        text = " ".join(text.lower().split())
        if text == "now":
            return _Spoken(exact=self.now)
        if text.endswith(" ago"):
            return _Spoken(exact=self.now - _duration(text))
        day_said = re.search(_DAY, text)
        rest = text.replace(day_said.group(), " ", 1) if day_said else text
        if stamp := re.match(r"(\d{4}-\d{2}-\d{2})[t ]", text):
            return self._timed(self._day(stamp.group(1)), text[stamp.end() :])
        return self._timed(self._day(day_said.group()) if day_said else None, rest)

    def _timed(self, day: date | None, text: str) -> _Spoken:
        found = re.search(rf"(?:{_CLOCK})|(?<![\d+:-])\d{{1,2}}(?![\d:])", text)
        if not found:
            return _Spoken(day=day)
        offset = re.search(r"(z|utc|gmt)\b|([+-])(\d{2}):?(\d{2})", text[found.end() :])
        at, next_day = _time_of_day(found.group())
        return _Spoken(day=day, at=at, offset=_offset(offset) if offset else None, next_day=next_day)

    def _day(self, said: str) -> date:
        if said == "today":
            return self.today
        if said == "yesterday":
            return self.today - timedelta(days=1)
        if said == "tomorrow":
            return self.today + timedelta(days=1)
        weekday = next((n for n, name in enumerate(_DAYS) if name.startswith(said.removeprefix("last ")[:3])), None)
        if weekday is not None:
            back = (self.today.weekday() - weekday) % 7 or (7 if said.startswith("last ") else 0)
            return self.today - timedelta(days=back)
        try:
            day = date.fromisoformat(said)
        except ValueError as error:
            raise AskError("ASK-030", f"{said} is not a date.", "Write dates as year-month-day.") from error
        if not 1970 <= day.year <= self.now.year + 1:
            raise AskError("ASK-030", f"{said} is too far from today.", _EXAMPLES)
        return day

    def place(self, spoken: _Spoken, *, late: bool = False) -> datetime:
        """The moment in UTC. `late` takes the end of a day, and the second of two equal readings of a clock set back."""
        if spoken.exact is not None:
            return spoken.exact
        day = spoken.day or self.today
        if spoken.next_day or (late and spoken.at is None):
            day += timedelta(days=1)
        local = datetime.combine(day, spoken.at or time())
        if spoken.offset is not None:
            return local.replace(tzinfo=spoken.offset).astimezone(UTC)
        placed = local.replace(tzinfo=self.zone, fold=int(late)).astimezone(UTC)
        if spoken.at is not None:
            self.assume(f"Times are read in {self.zone.key}.")
        self._say_clock_change(local, placed, late=late)
        return placed

    def _say_clock_change(self, local: datetime, placed: datetime, *, late: bool) -> None:
        at = local.strftime("%H:%M")
        if placed.astimezone(self.zone).replace(tzinfo=None, fold=0) != local:
            there = placed.astimezone(self.zone).strftime("%H:%M")
            self.assume(f"{at} does not exist on {local.date()} because clocks went forward; {there} was taken.")
        elif local.replace(tzinfo=self.zone, fold=1).utcoffset() != local.replace(tzinfo=self.zone).utcoffset():
            which = "second" if late else "first"
            self.assume(f"{at} comes twice on {local.date()} because clocks went back; the {which} was taken.")

    def past(self, spoken: _Spoken) -> _Spoken:
        """The moment on the day it must have been: a time without a day that is still to come was yesterday's."""
        if spoken.day is not None or spoken.exact is not None or spoken.at is None:
            return spoken
        today = self.today if spoken.offset is None else self.now.astimezone(spoken.offset).date()
        dated = _Spoken(day=today, at=spoken.at, offset=spoken.offset, next_day=spoken.next_day)
        if self.place(dated) <= self.now:
            return dated
        self.assume(f"{spoken.at.strftime('%H:%M')} is still to come today, so yesterday is meant.")
        return _Spoken(day=today - timedelta(days=1), at=spoken.at, offset=spoken.offset, next_day=spoken.next_day)


def _duration(text: str) -> timedelta:
    """A length of time; "1h30m" and "2 hours and 5 minutes" add up."""
    seconds = 0.0
    for amount, unit in _PART.findall(" ".join(text.lower().split())):
        seconds += float(_NUMBERS.get(amount, 0) or amount) * _UNITS[unit[0]]
    if seconds <= 0:
        raise AskError("ASK-031", "The time window is empty.", _EXAMPLES)
    if seconds > LONGEST_S:
        raise _too_long()
    return timedelta(seconds=seconds)


def _time_of_day(text: str) -> tuple[time, bool]:
    """A time of day, and whether it is the midnight that ends the day (24:00)."""
    if text in ("noon", "midnight"):
        return time(12 if text == "noon" else 0), False
    numbers = [int(part) for part in re.findall(r"\d+", text)[:3]]
    hour, minute, second = (*numbers, 0, 0)[:3]
    if half := re.search(r"([ap])\.?m", text):
        hour = hour % 12 + (12 if half.group(1) == "p" else 0)
    if hour > 24 or (hour == 24 and (minute or second)):
        raise AskError("ASK-030", f"{text} is not a time of day.", "Write times as hour:minute, from 00:00 to 24:00.")
    return time(hour % 24, minute, second), hour == 24


def _offset(found: re.Match[str]) -> tzinfo:
    if found.group(1):
        return UTC
    minutes = int(found.group(3)) * 60 + int(found.group(4))
    if minutes >= 24 * 60:
        raise AskError("ASK-030", f"{found.group()} is not an offset from UTC.", "Write offsets as +01:00 or Z.")
    return timezone(timedelta(minutes=-minutes if found.group(2) == "-" else minutes))


# --- how windows are said --------------------------------------------------------------------------------------------

Bounds = tuple[datetime, datetime]


def _range(reader: _Reader, found: re.Match[str]) -> Bounds:
    """From one moment to another; the day is said once or not at all."""
    first, last = reader.moment(_shared_half(found["first"], found["last"])), reader.moment(found["last"])
    day = found.groupdict().get("day")
    if day:
        first = _Spoken(day=reader.moment(day).day, at=first.at, offset=first.offset, next_day=first.next_day)
    if first.offset is None and last.offset is not None and first.exact is None:
        first = _Spoken(day=first.day, at=first.at, offset=last.offset, next_day=first.next_day)
    if first.day is None and last.day is not None:
        first = _Spoken(day=last.day, at=first.at, offset=first.offset, next_day=first.next_day, exact=first.exact)
    first = reader.past(first)
    if last.day is None and last.exact is None:
        overnight = bool(first.at and last.at and first.at.hour >= 18 and last.at.hour <= 9)
        base = first.day or reader.today
        after = base + timedelta(days=1) if overnight else base
        last = _Spoken(day=after, at=last.at, offset=last.offset or first.offset, next_day=last.next_day)
    return reader.place(first), reader.place(last, late=True)


def _shared_half(first: str, last: str) -> str:
    """`first` with the am or pm of `last` where it has none of its own ("9 to 10 am")."""
    half = re.search(r"[ap]\.?m\b", last, re.IGNORECASE)
    return f"{first} {half.group()}" if half and re.fullmatch(r"\s*(?:0?[1-9]|1[0-2])(?::\d\d)?\s*", first) else first


def _since(reader: _Reader, found: re.Match[str]) -> Bounds:
    return reader.place(reader.past(reader.moment(found["first"]))), reader.now


def _last(reader: _Reader, found: re.Match[str]) -> Bounds:
    said = found["length"]
    return reader.now - _duration(said if re.match(_AMOUNT, said, re.IGNORECASE) else f"1 {said}"), reader.now


def _around(reader: _Reader, found: re.Match[str]) -> Bounds:
    centre = reader.place(reader.past(reader.moment(found["first"])))
    if centre <= reader.now:
        reader.assume(f"The window is {AROUND_S // 60} min either side of the time.")
    return centre - timedelta(seconds=AROUND_S) if centre <= reader.now else centre, centre + timedelta(
        seconds=AROUND_S
    )


def _whole_day(reader: _Reader, found: re.Match[str]) -> Bounds:
    spoken = reader.moment(found["first"])
    reader.assume(f"Days begin at midnight in {reader.zone.key}.")
    return reader.place(spoken), reader.place(spoken, late=True)


_PARTS_OF_DAY = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (18, 30)}


def _part_of_day(reader: _Reader, found: re.Match[str]) -> Bounds:
    which, part = found["which"].lower(), "evening" if found["part"] is None else found["part"].lower()
    day = reader.today - timedelta(days=0 if which in ("this", "tonight", "today") else 1)
    first, last = _PARTS_OF_DAY[part]
    start = _Spoken(day=day, at=time(first))
    end = _Spoken(day=day + timedelta(days=last // 24), at=time(last % 24))
    reader.assume(f"The {part} is read as {first:02}:00 to {last % 24:02}:00.")
    return reader.place(start), reader.place(end, late=True)


def _override(reader: _Reader, found: re.Match[str]) -> Bounds:
    """`since=… until=…`, either of which may be a moment or a length of time back from now."""
    until = _Spoken(exact=reader.now) if found["until"] is None else reader.past(_overriding(reader, found["until"]))
    end = reader.place(until, late=True)
    said = found.groupdict().get("since")
    if said is None:
        return end - timedelta(hours=1), end
    since = _overriding(reader, said)
    if until.day is not None and since.day is None and since.exact is None:
        # The same day: taking the day before would turn two swapped times into a window of most of a day.
        since = _Spoken(day=until.day, at=since.at, offset=since.offset, next_day=since.next_day)
    return reader.place(reader.past(since)), end


def _until(reader: _Reader, found: re.Match[str]) -> Bounds:
    end = reader.place(reader.past(reader.moment(found["first"])), late=True)
    reader.assume("The window is the hour before the time.")
    return end - timedelta(hours=1), end


def _overriding(reader: _Reader, text: str) -> _Spoken:
    text = text.strip(" \t\"'“”,")
    if re.fullmatch(_DURATION_ALONE, text):
        return _Spoken(exact=reader.now - _duration(text))
    if not _MOMENT_ALONE.fullmatch(text):
        raise AskError(
            "ASK-030", f'"{text[:40]}" is not a time.', "Write since=14:00, since=2h or since=2026-11-18T10:00Z."
        )
    return reader.moment(text)


_DURATION_ALONE = _phrase(_DURATION)
_MOMENT_ALONE = _phrase(_MOMENT)
_VALUE = rf"\"[^\"]*\"|'[^']*'|{_DURATION}|{_MOMENT}|[^\s=]+"
_PHRASES: tuple[tuple[re.Pattern[str], Callable[[_Reader, re.Match[str]], Bounds]], ...] = (
    (_phrase(rf"(?<![\w.-])until=(?P<until>{_VALUE}) since=(?P<since>{_VALUE})"), _override),
    (_phrase(rf"(?<![\w.-])since=(?P<since>{_VALUE})(?: until=(?P<until>{_VALUE}))?"), _override),
    (_phrase(rf"(?<![\w.-])until=(?P<until>{_VALUE})"), _override),
    (
        _phrase(
            rf"{_EDGE}(?:on )?(?P<day>{_DAY}),? (?:from |between )?(?P<first>{_TIME}|{_HOUR}){_TO}(?P<last>{_TIME}|{_HOUR})"
        ),
        _range,
    ),
    (_phrase(rf"{_EDGE}(?:(?:from|between|since) )?(?P<first>{_MOMENT}){_TO}(?P<last>{_MOMENT})"), _range),
    (
        _phrase(
            rf"{_EDGE}(?:(?:from|between) )?(?P<first>{_HOUR}){_TO}"
            rf"(?P<last>{_TIME}(?: (?:on )?{_DAY})?|{_HOUR} (?:on )?{_DAY})"
        ),
        _range,
    ),
    (
        _phrase(rf"{_EDGE}(?:since|from|after|starting(?: at)?|beginning) (?:about |around )?(?P<first>{_MOMENT})"),
        _since,
    ),
    (
        _phrase(
            rf"{_EDGE}(?:(?:in|for|over|during|within) )?(?:the )?(?:last|past|previous) (?P<length>{_DURATION}|{_UNIT})"
        ),
        _last,
    ),
    (_phrase(rf"{_EDGE}(?:for|since) (?:about )?(?:the )?(?P<length>{_DURATION})"), _last),
    (
        _phrase(
            rf"{_EDGE}(?:until|till|before) (?:about |around )?"
            rf"(?P<first>{_STAMP}|{_DAY},? (?:at )?{_TIME}|{_TIME}(?: (?:on )?{_DAY})?|{_AGO})"
        ),
        _until,
    ),
    (_phrase(rf"{_EDGE}(?P<length>{_DURATION}) ago\b"), _last),
    (
        _phrase(r"\b(?P<which>this|last|yesterday|today|tonight)\b(?: (?P<part>morning|afternoon|evening|night))\b"),
        _part_of_day,
    ),
    (_phrase(rf"{_EDGE}(?:(?:at|around|about|near|@) ?)(?P<first>{_TIME}(?: (?:on )?{_DAY})?|{_STAMP})"), _around),
    (
        _phrase(rf"{_EDGE}(?:on )?(?P<first>{_STAMP}|{_DAY},? (?:at )?(?:{_TIME}|{_HOUR})|{_TIME} (?:on )?{_DAY})"),
        _around,
    ),
    (_phrase(rf"{_EDGE}(?:on )?(?P<first>{_DAY})"), _whole_day),
    (_phrase(rf"^ ?(?P<length>{_DURATION}) ?$"), _last),
)


# --- what cannot be a window -----------------------------------------------------------------------------------------

# Words that a time follows, and the shapes of what is meant as one. Ordinary words may follow them too ("since the
# deploy", "last 5 deploys", "past 500ms", "up to 10.0.0.1:80"): those shapes are not here.
_SIGNED = rf"[+−-] ?\d{{1,20}}(?: ?{_UNIT})?"
_LENGTH = rf"\d{{1,20}}(?:[.,]\d{{1,20}})?[ -]?{_UNIT}\w{{0,20}}"
_ALONE = r"\d{1,8}(?= ?[?!.,;]{0,3} ?$)"
_LIKE_A_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?![\w:]|\.\d)|\d{1,3} ?[ap]m\b"
_LOOSE_CLOCK = r"\d{1,4}:\d{1,4}[\w:]{0,20}|\d{1,3} ?[ap]m\b"
_OTHER_DATE = r"\d{1,2}[./]\d{1,2}[./]\d{4}\b|\d{4}/\d{1,2}/\d{1,2}\b|\d{1,2}/\d{1,2}\b"
_LOOK_LIKE_TIMES = (
    _phrase(
        rf"{_EDGE}(?:last|previous) (?P<said>{_SIGNED}|{_LENGTH}|{_LOOSE_CLOCK}|{_ALONE}|\d{{1,8}} (?:month|year)s?\b)"
    ),
    _phrase(rf"{_EDGE}past (?P<said>{_SIGNED}|{_LENGTH}|\d{{1,8}} (?:month|year)s?\b)"),
    _phrase(
        rf"{_EDGE}(?:since|until|till) (?:about |around )?"
        rf"(?P<said>{_SIGNED}|{_LENGTH}|{_LOOSE_CLOCK}|{_OTHER_DATE}|{_ALONE})"
    ),
    _phrase(
        rf"{_EDGE}(?:(?:from|to|between|and|at|around|after|before|today|yesterday|\d{{4}}-\d{{2}}-\d{{2}}) "
        rf"|\d{{4}}-\d{{2}}-\d{{2}}T)(?P<said>{_LIKE_A_CLOCK})"
    ),
)


def _refuse_what_only_looks_like_a_time(text: str) -> None:
    for found in (found for pattern in _LOOK_LIKE_TIMES for found in pattern.finditer(text)):
        if not (_MOMENT_ALONE.fullmatch(found["said"]) or _DURATION_ALONE.fullmatch(found["said"])):
            raise AskError("ASK-030", f"“{' '.join(found.group().split())[:60]}” is not a time.", _EXAMPLES)


def _checked(reader: _Reader, start: datetime, end: datetime, found: re.Match[str]) -> WindowPhrase:
    if start >= reader.now:
        raise AskError("ASK-032", "The time window lies in the future.", "Ask about a time that has passed.")
    if end < start:
        raise AskError("ASK-033", "The time window ends before it starts.", "Swap the two times, or name the days.")
    if end == start:
        raise AskError("ASK-031", "The time window is empty.", _EXAMPLES)
    if (end - start).total_seconds() > LONGEST_S:
        raise _too_long()
    if end > reader.now:
        reader.assume("The window ends now.")
    return WindowPhrase(
        start_s=start.timestamp(),
        end_s=min(end, reader.now).timestamp(),
        start=found.start(),
        end=found.end(),
        assumption=" ".join(reader.assumptions),
    )


def _too_long() -> AskError:
    return AskError("ASK-034", "The time window is longer than 7 days.", "Ask about a shorter time, at most 7 days.")
