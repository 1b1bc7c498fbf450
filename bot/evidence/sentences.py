"""The engine's findings as sentences: plain, with before and after, times as marks."""

from collections.abc import Sequence
from dataclasses import replace

from bot.domain.change import Change
from bot.domain.evidence import Signal
from bot.domain.report import Fault, Statement, time_mark
from bot.evidence.changes import Suspect
from bot.evidence.faults import VERB, signature
from bot.evidence.graph import Graph
from bot.evidence.reading import Reading
from bot.evidence.wording import change, lasting, quantity, quoted, roughly

_MOSTLY = 0.8  # of the added time of a call: the rest is within the noise of two percentiles


def of_reading(reading: Reading, explained_by: str | None = None) -> Statement:
    """One finding: "payments · pool in use 22 % → 100 % · 14:01"."""
    parts = [_who(reading), _what(reading)]
    if reading.onset_s is not None:
        parts.append(time_mark(reading.onset_s))
    text = " · ".join(parts)
    if explained_by:
        text += f", because of {explained_by}"
    return Statement(text=text, evidence=(reading.evidence,))


def of_suspect(suspect: Suspect, service: str) -> Statement:
    """A guilty change and why it is: "payments · deploy 3f2c1a by CI, 4 min before the onset, names pool_timeout"."""
    where = suspect.change.service or service
    reasons = [f"{where} · {title(suspect.change)}"]
    if suspect.lag_s is not None:
        when = "before" if suspect.lag_s >= 0 else "after"
        reasons.append(f"{roughly(suspect.lag_s)} {when} the onset")
    named = [name for name in suspect.names if not name.startswith("#")][:3]
    if named:
        reasons.append("names " + ", ".join(named))
    return Statement(text=", ".join(reasons), evidence=suspect.evidence)


def of_cause(
    service: str,
    fault: Fault,
    readings: Sequence[Reading],
    guilty: Suspect | None,
    asked: str | None,
    onset_s: float | None,
    graph: Graph,
) -> Statement:
    """The headline: what happened to whom since when, on which two or three facts, and how that meets the asked service."""
    text = f"{service} {VERB[fault]}"
    if onset_s is not None:
        text += f" at about {time_mark(onset_s)}"
    facts = [_fact(_to_the_point(reading, fault), service) for reading in readings]
    if facts:
        text += ": " + "; ".join(facts)
    cited = [reading.evidence for reading in readings]
    if guilty is not None:
        text += f". Before it came {title(guilty.change)}"
        cited += guilty.evidence
    text += "."
    if asked and asked != service:
        text += _meets(service, fault, asked, graph)
    return Statement(text=text, evidence=tuple(dict.fromkeys(cited)))


def title(change_: Change) -> str:
    """A change by the name people know it by: "deploy 3f2c1a by CI"."""
    return f"{change_.kind.value} {change_.short_ref}" + (f" by {change_.author}" if change_.author else "")


def _meets(service: str, fault: Fault, asked: str, graph: Graph) -> str:
    """How a service meets the one asked about, in the direction of the calls; empty where none is known."""
    if service in graph.below(asked):
        return f" {asked} depends on it."
    if not graph.only_calls(service, asked):
        return ""
    if fault is Fault.TRAFFIC_SURGE:
        return f" {asked} carries that load."
    return f" It calls {asked}." if asked in graph.callees.get(service, ()) else f" It depends on {asked}."


def _who(reading: Reading) -> str:
    return f"{reading.call[0]} → {reading.call[1]}" if reading.call else reading.service


_AROUND = 30  # characters before the telling words: enough to see what they speak of


def _to_the_point(reading: Reading, fault: Fault) -> Reading:
    """A log pattern cut so that the words that tell the fault are inside the quotation."""
    looks = signature(fault)
    said = " ".join(reading.text[:2000].split())
    found = looks.search(said) if looks is not None and reading.signal is Signal.LOGS else None
    if found is None or len(quoted(said)) > found.end() + 2:
        return reading
    return replace(reading, text="…" + said[max(0, found.start() - _AROUND) :])


def _fact(reading: Reading, service: str) -> str:
    whose = f"{_who(reading)} " if reading.call else f"{reading.service} told: " if reading.service != service else ""
    return f"{whose}{_what(reading)}"


def _what(reading: Reading) -> str:
    if reading.signal is Signal.LOGS and reading.text:
        return _pattern(reading)
    if reading.signal is Signal.ALERT:
        return f"alert {quoted(reading.text)} fires"
    moved = change(reading.before, reading.after, reading.unit)
    if reading.signal is Signal.SATURATION and reading.unit == "ratio":
        moved += " of its limit"
    if reading.signal is Signal.CERTIFICATE and reading.after is not None and reading.after <= 0:
        return f"{reading.measure}: expired {lasting(reading.after)} ago"
    if reading.waiting is not None and reading.waiting >= _MOSTLY:
        moved += f", {reading.call[1] if reading.call else reading.service} itself took no longer: waiting, not working"
    return f"{reading.measure} {moved}".strip()


def _pattern(reading: Reading) -> str:
    said = quoted(reading.text)
    if reading.fresh:
        return f"new log pattern {said}, {quantity(reading.after or 0.0, '/min')}"
    if not reading.after:
        return f"log pattern gone: {said}, {change(reading.before, reading.after, '/min')}"
    word = "more" if reading.rising else "less"
    return f"log pattern {word} often: {said}, {change(reading.before, reading.after, '/min')}"
