"""Stack traces as one entry with a name: the exception and the frame it came from (Java, .NET, Python, Go, Node)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.domain.logs import LogLine

_FRAME = re.compile(r'\s+(?:at \S|File "|\.\.\. \d+ (?:more|common)|from \S+:\d+:in |\S+\.go:\d+)')
_JOINS = re.compile(
    r"Caused by: |Suppressed: |goroutine \d+ \[|created by |\[signal |During handling of the above|The above exception was"
)
_HEADER = re.compile(r"(?:[A-Za-z_]\w*\.)+[A-Z]\w*(?:Exception|Error|Throwable)\b")
_OPENS = re.compile(r"Traceback \(most recent call last\):|panic: |goroutine \d+ \[|fatal error: ")
_PYTHON_END = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_GO_CALL = re.compile(r"[\w./\-]+(?:\.\(\*?\w+\))?[\w.]*\(.*\)$")
_SAME_TRACE_NS = 2_000_000_000  # shippers stamp the lines of one trace milliseconds apart; 2 s also covers slow ones
_MOST_LINES = 300  # a recursion without end says nothing more after that


def may_hold_split_traces(texts: Iterable[str]) -> bool:
    """Whether lines can hold a trace spread over several of them: in every language some of its lines are indented."""
    return not {text[:1] for text in texts}.isdisjoint(" \t")


@dataclass(slots=True)
class _Open:
    """The last entry of a stream: the place of its line and the lines joined to it so far."""

    place: int
    at_ns: int
    parts: list[str] = field(default_factory=list)
    in_trace: bool = False
    language: str = ""


def fold(lines: Iterable[LogLine]) -> list[tuple[int, str, str]]:
    """The lines as (ns, text, level) entries in their order, a trace over consecutive lines of one stream as one entry."""
    entries: list[tuple[int, str, str] | None] = []
    streams: dict[object, _Open] = {}
    keys: dict[int, object] = {}  # the labels of one answer are shared objects, so their identity is a cheap first key
    for line in lines:
        key = keys.get(id(line.labels))
        if key is None:
            key = keys[id(line.labels)] = tuple(sorted(line.labels.items()))
        last = streams.get(key)
        if last is not None and line.ts_ns - last.at_ns <= _SAME_TRACE_NS and _continues(line.line, last):
            last.at_ns = line.ts_ns
            if len(last.parts) < _MOST_LINES:
                last.parts.append(line.line)
            continue
        _close(entries, last)
        streams[key] = _Open(place=len(entries), at_ns=line.ts_ns, parts=[line.line])
        _note(line.line, streams[key])
        entries.append((line.ts_ns, line.line, line.level))
    for last in streams.values():
        _close(entries, last)
    return [entry for entry in entries if entry is not None]


def _close(entries: list[tuple[int, str, str] | None], last: _Open | None) -> None:
    if last is not None and len(last.parts) > 1:
        entry = entries[last.place]
        if entry is not None:
            entries[last.place] = (entry[0], "\n".join(last.parts), entry[2])


def _note(line: str, state: _Open) -> None:
    """What the line says about the trace it opens or goes on."""
    if line.startswith("Traceback ("):
        state.in_trace, state.language = True, "python"
    elif line.startswith(("panic: ", "goroutine ", "fatal error: ")):
        state.in_trace, state.language = True, "go"
    elif _FRAME.match(line):
        state.in_trace = True
        state.language = state.language or ("python" if line.lstrip().startswith("File ") else "")


def _continues(line: str, last: _Open) -> bool:
    """Whether `line` belongs to the entry before it in its stream."""
    if line[:1] in " \t":
        joins = last.in_trace or _FRAME.match(line) is not None
    elif _JOINS.match(line):
        joins = True
    elif _HEADER.match(line) and len(last.parts) == 1:
        joins = not last.in_trace
    elif _OPENS.match(line):
        joins = not last.in_trace or last.language == "python_done"
    elif last.language == "python" and len(last.parts) > 1 and _PYTHON_END.match(line):
        last.language = "python_done"
        return True
    elif last.language == "go":
        joins = not line or _GO_CALL.match(line) is not None or line.startswith("exit status")
    else:
        joins = last.in_trace and not line and last.language == "python_done"
    if joins:
        _note(line, last)
    return joins


# --- names -----------------------------------------------------------------------------------------------------------

_JAVA_FRAME = re.compile(r"^\s+at (?:[\w.\-@]+/)*([\w.$<>]+)\(", re.MULTILINE)
_NODE_FRAME = re.compile(
    r"^\s+at (?:(?:async |new )*([\w.<>\[\]$ ]+?) \()?(?:file://)?([^()\s]+?):\d+:\d+\)?$", re.MULTILINE
)
_PYTHON_FRAME = re.compile(r'^\s*File "([^"\n]+)", line \d+, in (\S+)', re.MULTILINE)
_GO_FRAME = re.compile(r"^([\w./\-]+\.(?:\(\*?\w+\)\.)?[\w.]+)\(.*\)\n\s+(\S+\.go):\d+", re.MULTILINE)
_EXCEPTION = re.compile(
    r"(?<![\w./])((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Exception|Error|Throwable|Failure|Timeout|Interrupt|Exit))\b"
)
_CAUSE = re.compile(r"^Caused by: ([\w.$]+)", re.MULTILINE)
_LAST_WORD = re.compile(r"^([A-Za-z_][\w.]*)(?::.*)?$", re.MULTILINE)
_PANIC = re.compile(r"(?:panic|fatal error): ([^\n]{1,200})")
_LONGEST = 40_000  # characters of a trace that are read; the exception and its frames stand at either end


def trace_name(text: str) -> str | None:
    """The name of the stack trace in `text` ("exception at frame"), or None where there is none.

    Line numbers and addresses are left out, so that one fault keeps one name over releases. A Java trace with causes
    names the last cause as well: the outermost exception is often only a wrapper.
    """
    if "\n" not in text:
        return None
    if len(text) > _LONGEST:
        text = text[: _LONGEST // 2] + "\n" + text[-_LONGEST // 2 :]
    return next((name for name in _names(text) if name), None)


def _names(text: str) -> Iterator[str | None]:
    yield _python(text)
    yield _go(text)
    yield _java_or_node(text)


def _python(text: str) -> str | None:
    frames = list(_PYTHON_FRAME.finditer(text))
    if not frames:
        return None
    path, function = frames[-1].groups()
    ending = _LAST_WORD.search(text, frames[-1].end())
    found = ending or _EXCEPTION.search(text)
    return f"{found.group(1) if found else 'exception'} at {_file(path)}:{function}"


def _go(text: str) -> str | None:
    if "goroutine " not in text:
        return None
    panic = _PANIC.search(text)
    frames = (found.group(1) for found in _GO_FRAME.finditer(text))
    frame = next((name for name in frames if not name.startswith(("runtime.", "runtime/", "panic"))), "")
    cause = f"panic: {panic.group(1)}" if panic else "goroutine dump"
    return f"{cause} at {frame}" if frame else cause


def _java_or_node(text: str) -> str | None:
    frame = _JAVA_FRAME.search(text)
    node = _NODE_FRAME.search(text)
    first = min((found.start() for found in (frame, node) if found), default=-1)
    if first < 0:
        return None
    found = _EXCEPTION.search(text, 0, first)
    name = found.group(1) if found else "exception"
    if node and node.start() == first:
        return f"{name} at {(node.group(1) or _file(node.group(2))).strip()}"
    causes = [cause.group(1) for cause in _CAUSE.finditer(text)]
    root = f" caused by {causes[-1]}" if causes and causes[-1] != name else ""
    return f"{name} at {frame.group(1)}{root}" if frame else None


def _file(path: str) -> str:
    """The last two parts of a path: enough to know the file, without the machine's own folders."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])
