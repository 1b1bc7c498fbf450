"""Numbers as people read them: 0.38 s as "380 ms", 0.22 as "22 %", 1610612736 bytes as "1.5 GiB"."""

import math

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LONG = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def quantity(value: float, unit: str) -> str:
    """The value with its unit, at most three figures. Units are those of `SeriesBody` plus `/min`."""
    if not math.isfinite(value):
        return "no value"
    if unit == "s":
        return _seconds(value)
    if unit == "ratio":
        return f"{_figures(value * 100)} %"
    if unit == "bytes":
        return _bytes(value)
    if unit in {"/s", "/min"}:
        return _rate(value, unit)
    if unit == "count" and abs(value) >= 1:
        return _figures(round(value))
    return f"{_figures(value)} {unit}".rstrip() if unit not in {"", "count"} else _figures(value)


def change(before: float | None, after: float | None, unit: str) -> str:
    """Both sides of a change: "11 % → 100 %"; empty without numbers."""
    if before is None or after is None:
        return ""
    return f"{quantity(before, unit)} → {quantity(after, unit)}"


def lasting(seconds: float) -> str:
    """A length of time in words: "3.5 min", "45 s"."""
    return _seconds(abs(seconds))


def roughly(seconds: float) -> str:
    """A length of time no finer than samples are: "4 min", "about 30 s"."""
    minutes = round(abs(seconds) / 60)
    if minutes >= 120:
        return lasting(minutes * 60)
    return f"{minutes} min" if minutes else "about 30 s"


def quoted(text: str, most: int = 90) -> str:
    """Text of strangers as a quotation on one line, cut where it is long."""
    line = " ".join(text.replace("⟦", "[").replace("⟧", "]").split())
    return f"“{line}”" if len(line) <= most else f"“{line[: most - 1].rstrip()}…”"


def _seconds(value: float) -> str:
    size = abs(value)
    for length, name in _LONG:
        # Two minutes and less read better in seconds.
        if size >= max(length, 120.0):
            return f"{_figures(value / length)} {name}"
    if size >= 1 or size == 0:
        return f"{_figures(value)} s"
    if size >= 1e-3:
        return f"{_figures(value * 1e3)} ms"
    return f"{_figures(value * 1e6)} µs"


def _bytes(value: float) -> str:
    size, step = value, 0
    while abs(size) >= 1024 and step < len(_BYTES) - 1:
        size, step = size / 1024, step + 1
    return f"{_figures(size)} {_BYTES[step]}"


def _rate(value: float, unit: str) -> str:
    if unit == "/s" and 0 < abs(value) < 1:
        return f"{_figures(value * 60)}/min"
    return f"{_figures(value)}{unit}"


def _figures(value: float) -> str:
    """Three significant figures, no exponent below a quadrillion, thousands set apart."""
    if value == 0 or abs(value) < 1e-6:
        return "0"
    if abs(value) >= 1e15:
        return f"{value:.2e}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{round(value, places):,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
