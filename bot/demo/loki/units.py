"""Durations, sizes, times and numbers in the spellings Loki reads and writes.

Times are integers in nanoseconds since 1970 (UTC), durations integers in nanoseconds.
"""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": HOUR_NS,
    "d": 24 * HOUR_NS,
    "w": 7 * 24 * HOUR_NS,
    "y": 365 * 24 * HOUR_NS,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|[smhdwy])")
_QUERY_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def parse_duration(text: str) -> int:
    """The duration in ns, all of Go's and Prometheus' units allowed. Raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _DURATION_PART.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError(f'not a valid duration string: "{text}"')
    return sign * sum(int(Decimal(number) * _UNIT_NS[unit]) for number, unit in parts)


def parse_query_duration(text: str) -> int:
    """As `parse_duration`, with only the units LogQL itself knows (no ns, no us). Raises ValueError."""
    if not _QUERY_DURATION.fullmatch(text):
        raise ValueError(f'not a valid duration string: "{text}"')
    return parse_duration(text)


def parse_size(text: str) -> float:
    """Bytes: `5KB` is 5000, `5KiB` is 5120. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    number, prefix, binary = found.groups()
    power = " kmgtpe".index(prefix.lower() or " ")
    return float(number) * float((1024 if binary else 1000) ** power)


def parse_time(text: str) -> int:
    """Nanoseconds from RFC3339, whole seconds (up to 10 digits), whole nanoseconds or float seconds.

    Raises ValueError with Go's words.
    """
    if "." in text:
        try:
            seconds = float(text)
            whole = math.floor(seconds)
        except (ValueError, OverflowError):
            return _parse_rfc3339(text)
        return whole * SECOND_NS + round((seconds - whole) * 1000) * 1_000_000
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text) * SECOND_NS if len(text) <= 10 else int(text)
    return _parse_rfc3339(text)


def _parse_rfc3339(text: str) -> int:
    found = _RFC3339.fullmatch(text)
    if not found:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    date, fraction, zone = found.groups()
    seconds = int(datetime.fromisoformat(date + ("+00:00" if zone == "Z" else zone)).timestamp())
    return seconds * SECOND_NS + int((fraction or ".")[1:].ljust(9, "0"))


def rfc3339(time_ns: int) -> str:
    """`2026-11-19T13:00:00Z`, with nanoseconds where there are any."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def go_duration(duration_ns: int) -> str:
    """Go's spelling of whole or broken seconds, `966h0m0s`, stopping at the largest 64-bit value."""
    seconds, rest = divmod(min(duration_ns, 2**63 - 1), SECOND_NS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}{fraction}s"


def prometheus_duration(duration_ns: int) -> str:
    """Prometheus' spelling, largest unit first: `30d1h`, `5m`, `500ms`."""
    if not duration_ns:
        return "0s"
    text, rest = "", duration_ns
    for unit in ("y", "w", "d", "h", "m", "s", "ms"):
        size = _UNIT_NS[unit]
        # Years, weeks and days are written only where nothing smaller is left over, but for days before hours.
        if unit in ("y", "w") and rest % size:
            continue
        if rest >= size:
            text += f"{rest // size}{unit}"
            rest %= size
    return text


def size_text(size: int) -> str:
    """Bytes in the largest binary unit, with one decimal below ten: `39 MiB`, `9.5 KiB`."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < 6:
        amount, unit = amount / 1024, unit + 1
    number = f"{amount:.1f}".removesuffix(".0") if amount < 10 else f"{amount:.0f}"
    return f"{number} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[unit]}"


def number_text(value: float) -> str:
    """A sample value as Loki prints it: shortest form that reads back the same, never with an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value):
        return str(int(value))
    return format(Decimal(repr(value)), "f")


def seconds_number(time_ns: int) -> int | float:
    """Seconds for JSON, cut to milliseconds; a whole number where it is one."""
    milliseconds = time_ns // 1_000_000
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000
