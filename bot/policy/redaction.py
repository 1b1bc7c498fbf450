"""Text without its secrets.

Structure comes first: a value under a sensitive key goes whatever it looks like (JSON, logfmt, YAML, query strings,
environment dumps, command lines, headers, XML). Then passwords in URLs, then formats known by their shape, then strings
that look drawn at random. Every pattern is RE2 and every scan moves forward only, so the time is linear in the length of
the text even where an attacker wrote it.

A secret becomes `[SECRET:kind]`; the number of lines stays, JSON stays JSON, and redacting twice changes nothing more.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator

import re2

from bot.policy.secret_formats import FORMATS
from bot.policy.secret_keys import Sensitivity, classify_key, is_a_count, is_everyday, is_no_secret

Span = tuple[int, int, str]  # first byte, byte after the last, kind of secret
Finder = Callable[[bytes], Iterator[Span]]


def redact_secrets(text: str) -> str:
    """`text` with every secret replaced by `[SECRET:kind]`. One line or many; as many lines come out as went in."""
    for _ in range(_MOST_PASSES):
        clean = _redacted_once(text)
        if clean == text:
            break
        text = clean
    return text


# A replaced secret can bring its neighbours together into a new value (`a=-----BEGIN…` cut at a space), so the text is
# read again until nothing changes. Two passes are the rule; the bound keeps the time linear whatever is written.
_MOST_PASSES = 5


def _redacted_once(text: str) -> str:
    data = text.encode("utf-8", "replace")
    spans = sorted(_beside_markers(data, (span for find in _FINDERS for span in find(data))))
    if not spans:
        return text
    pieces: list[bytes] = []
    done = 0
    for start, end, kind in _merged(spans):
        pieces += (data[done:start], _replacement(data[start:end], kind))
        done = end
    return b"".join((*pieces, data[done:])).decode("utf-8")


def _beside_markers(data: bytes, spans: Iterator[Span]) -> Iterator[Span]:
    """The spans that are more than a marker of ours; no span begins or ends inside one."""
    markers = [marker.span() for marker in _MARKER.finditer(data)] if b"[SECRET:" in data else []
    for start, end, kind in spans:
        first, last = _past_marker(markers, start), _past_marker(markers, end)
        if first < last and not (markers and _MARKERS.fullmatch(data[first:last])):
            yield first, last, kind


def _past_marker(markers: list[tuple[int, int]], at: int) -> int:
    """`at`, or the end of the marker around it."""
    index = bisect_left(markers, (at, 0)) - 1
    return markers[index][1] if index >= 0 and at < markers[index][1] else at


def _merged(spans: list[Span]) -> Iterator[Span]:
    """Spans in order, overlapping ones joined under the kind of the first that says more than "looks random"."""
    start, end, kind = spans[0]
    for next_start, next_end, next_kind in spans[1:]:
        if next_start < end:
            end = max(end, next_end)
            kind = next_kind if kind == _RANDOM else kind
        else:
            yield start, end, kind
            start, end, kind = next_start, next_end, next_kind
    yield start, end, kind


def _replacement(secret: bytes, kind: str) -> bytes:
    """The marker, once per line the secret covers, so that lines keep their number and their indentation."""
    quote, _, name = kind.rpartition(" ")  # a bare JSON number needs quotes to stay JSON once it is a marker
    marker = f"{quote}[SECRET:{name}]{quote}".encode()
    if b"\n" not in secret:
        return marker
    lines = secret.split(b"\n")
    return b"\n".join(line.replace(line.strip(), marker) if line.strip() else line for line in lines)


def _compiled(pattern: str) -> "re2._Regexp":
    # 64 MiB of automaton cache: the alternation of all formats is big, and RE2 falls back to a slow matcher beyond it.
    options = re2.Options()
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode(), options)


_MARKER = _compiled(r"\[SECRET:[a-z_]{1,40}\]")
_MARKERS = _compiled(r"(?:\[SECRET:[a-z_]{1,40}\])+")


# --- values under sensitive keys -------------------------------------------------------------------------------------

_STEMS = (
    r"pass|pwd|psw|pw|secret|token|key|cred|auth|cookie|sess|sid|jwt|otp|cvv|cvc|sig|salt"
    r"|mnemonic|seed.?phrase|recovery.?code|backup.?code|connection.?string|kennwort|senha|contrase|парол|密码"
)
_KEYED = _compiled(
    r"(?i)((?:api|access|secret|private|licen[cs]e|signing|auth|client)[ ](?:key|token|secret)"
    rf"|[\pL\pN_.\-]*(?:{_STEMS})[\pL\pN_.\-]*)"  # the key
    r"((?:\]|%5D)?(?:\\*[\"'`])?\]?)"  # what closes it
    r"([ \t]*(?:=>|:=|%3D|=|::[ \t]|:)[ \t]*|>|[ \t]*,[ \t]*|[ \t]+(?:(?:is|was|set to|changed to)[ \t]+)?)"  # what separates
)
_NAMED = _compiled(  # {"name": "DB_PASSWORD", "value": "…"} and the same in YAML
    r"(?i)\b(?:name|key)\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?([\pL\pN_.\-]+)\\*[\"']?"
    r"[ \t]*[,\n]?[ \t]*(\\*[\"']?)value\\*[\"']?([ \t]*[:=][ \t]*)"
)
_OPENING = _compiled(r"[bruf]{0,2}(\\{0,7})([\"'`])")
_TO_QUOTE = {quote: _compiled(rf"[\n{quote}]") for quote in "\"'`"}
_BARE = _compiled(r"(?:[^\s\"'`<>&;\\\x00]|\\[^nrtu\"'\s])+")
_TO_SPACE = _compiled(r"[^\s\"'`]+")
_TO_LINE_END = _compiled(r"[^\n]+")
_SCHEME = _compiled(r"(?i)(?:basic|bearer|token|api-?key|negotiate|ntlm|key|sharedkey)[ \t]+")
_LONG_SCHEME = _compiled(r"(?i)(?:digest|hawk|oauth|aws4-hmac-sha256|hmac|signature)[ \t]+")
_WORD_AHEAD = _compiled(r"[ \t]+[A-Za-z]{1,40}(?:[ \t\n.,]|$)")
_ITEM = _compiled(r"\\*\"((?:[^\"\\]|\\[^\"])+)\\*\"([ \t]*:)?")
_NEST = _compiled(r"[\[{][^\[\]{}\n]*")


def _keyed(data: bytes) -> Iterator[Span]:
    """Values under sensitive keys, whatever stands between key and value."""
    for pattern in (_KEYED, _NAMED):
        at = 0
        while found := pattern.search(data, at):
            at = found.end(2)
            if marker := _MARKER.match(data, max(0, found.start(1) - 1)):
                at = marker.end()  # `SECRET:` in a marker of ours is no key
                continue
            for span in _values(data, found):
                yield span
                at = max(at, span[1])


def _values(data: bytes, found: "re2._Match") -> Iterator[Span]:
    """What must go behind one key: nothing, its value, or the strings of its list or object."""
    key, close, start = found.group(1).decode(), found.group(2), found.end()
    sensitivity, kind = classify_key(key.lstrip("-."))
    if sensitivity is Sensitivity.NONE or not _separates(data, found):
        return
    opening = _OPENING.match(data, start)
    if opening:
        start = opening.end()
    if kind == "session" and _COOKIE.match(data, start):
        yield from _cookies(data, start, opening)
    elif close and data[start : start + 1] in (b"[", b"{"):
        nest = _NEST.match(data, start)
        yield from ((*item.span(1), kind) for item in _ITEM.finditer(data, start, nest.end()) if not item.group(2))
    else:
        start, end = _extent(data, start, opening, key, kind, found.group(3))
        value = data[start:end].decode("utf-8", "replace")
        if not _stays(key, sensitivity, value, quoted=bool(opening)) and (
            opening or close or not _is_prose(data, end, value, found.group(3), sensitivity)
        ):
            quote = close.decode() if close.endswith(b'"') and not opening else ""
            yield start, end, f"{quote} {kind}" if quote else kind


def _separates(data: bytes, found: "re2._Match") -> bool:
    """Whether the separator stands between a key and its value, and is no comparison, scope or end of a tag."""
    word, end = found.group(3).strip(), found.end()
    after = data[end : end + 1]
    if word in (b"", b","):
        return bool(found.group(1).startswith(b"-")) and after not in (b"", b"-", b"\n")
    if word == b">":
        return data[max(0, found.start() - 1) : found.start()] == b"<" and after not in (b"<", b"\n")
    if word[:1] in (b":", b"=", b"%"):
        return after not in (b"=", b"~", b":") and data[end : end + 2] != b"//"
    return not found.group(2)


def _extent(
    data: bytes, start: int, opening: "re2._Match | None", key: str, kind: str, separator: bytes
) -> tuple[int, int]:
    """Where the value begins and ends. The scheme of an Authorization header stays: it helps and gives nothing away."""
    pattern = _BARE
    if kind == "authorization":
        if scheme := _SCHEME.match(data, start):
            start = scheme.end()
        elif scheme := _LONG_SCHEME.match(data, start):
            start, pattern = scheme.end(), _TO_LINE_END
    elif "phrase" in key.lower() or "mnemonic" in key.lower():
        pattern = _TO_LINE_END
    elif key.isupper() and separator == b"=":
        pattern = _TO_SPACE  # an environment dump: nothing but white space ends a value
    if opening:
        return start, _closing(data, start, len(opening.group(1)), opening.group(2).decode())
    bare = pattern.match(data, start)
    if bare is None:
        return start, start
    length = len(bare.group().rstrip(b":,)}] \t\r"))
    marker = _MARKER.match(data, start)
    return start, max(start + length, marker.end() if marker else 0)


def _closing(data: bytes, start: int, escapes: int, quote: str) -> int:
    """Where a quoted value ends: at its quote with no more backslashes than it opened with, or at the end of the line."""
    at = start
    while stop := _TO_QUOTE[quote].search(data, at):
        at = int(stop.end())
        before = data[max(start, at - 9) : at - 1]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if data[at - 1 : at] == b"\n":
            return at - 1
        if (backslashes <= escapes) if escapes else (backslashes % 2 == 0):
            return at - 1 - (backslashes if escapes else 0)
    return len(data)


def _stays(key: str, sensitivity: Sensitivity, value: str, *, quoted: bool) -> bool:
    if is_no_secret(value, quoted=quoted) or is_a_count(key, value):
        return True
    if key.lower() == "pwd" and value.startswith("/"):
        return True  # the working directory
    return sensitivity is Sensitivity.WEAK and is_everyday(value)


def _is_prose(data: bytes, end: int, value: str, separator: bytes, sensitivity: Sensitivity) -> bool:
    """Whether an unquoted "value" is the next word of a sentence (`token: validation failed`, `the password is wrong`)."""
    if separator.strip()[:1] not in (b":", b""):
        return separator.strip()[:1].isalpha() and not (len(value) >= 6 and any(c.isdigit() for c in value))
    if separator == b":" or not separator.strip() or not value.isalpha():
        return False
    return sensitivity is Sensitivity.WEAK or _WORD_AHEAD.match(data, end) is not None


# --- cookies ---------------------------------------------------------------------------------------------------------

_COOKIE = _compiled(r"[^\s=;:,\"'\\{}\[\]<>]{1,100}=[^=]")
_COOKIE_LINE = _compiled(r"[^\n\"'\\]*")
_PAIR = _compiled(r"([^\s=;,\"'\\]+)=([^;\"'\\\s]+)")
_PLAIN_COOKIE = _compiled(r"[A-Za-z]{1,12}|[0-9]{1,6}|[a-z]{2}[-_][A-Za-z]{2}|[0-9.]{1,8}")
_COOKIE_ATTRIBUTES = frozenset((b"path", b"domain", b"max-age", b"expires", b"samesite", b"version", b"priority"))


def _cookies(data: bytes, start: int, opening: "re2._Match | None") -> Iterator[Span]:
    """Cookie values, but for plain preferences (`theme=dark`) under names that say nothing of a session."""
    end = (
        _closing(data, start, len(opening.group(1)), opening.group(2).decode())
        if opening
        else _COOKIE_LINE.match(data, start).end()
    )
    for pair in _PAIR.finditer(data, start, end):
        sensitivity, _ = classify_key(pair.group(1).decode())
        plain = sensitivity is Sensitivity.NONE and _PLAIN_COOKIE.fullmatch(pair.group(2)) is not None
        if not plain and pair.group(1).lower() not in _COOKIE_ATTRIBUTES:
            yield *pair.span(2), "cookie"


# --- shapes ----------------------------------------------------------------------------------------------------------

_SHAPES: tuple[tuple[str, str], ...] = (
    # scheme://user:password@host, the password up to the last @ before the path; `\/` is PHP's way of writing JSON
    ("url_password", r":(?:\\?/){2}[^\s/:\"'<>\\]*:([^\s/?#\"'<>\\]+)@"),
    ("url_password", r":(?:\\?/){2}[^\s/:@\"'<>\\]+:([^\s/@0-9\"'<>\\][^\s@\"'<>\\]*)@"),  # with a / but no port
    ("url_password", r":(?:\\?/){2}([A-Za-z0-9_\-]{16,}):?@"),  # a token in the user's place
    ("url_password", r"(?i)jdbc:oracle:\w+:[^\s/@\"']+/([^\s@\"']+)@"),
    ("bearer", r"(?i)\bbearer[ \t]+([A-Za-z0-9._~+/\-]*[0-9._~+/\-][A-Za-z0-9._~+/\-]{6,}=*)"),
    ("basic_auth", r"\b[Bb]asic[ \t]+([A-Za-z0-9+/]{8,}={1,2}|[A-Za-z0-9+/]*[0-9][A-Za-z0-9+/]{12,})"),
    # command lines and SQL whose options have no telling name
    (
        "password",
        r"\b(?:mysql\w*|mariadb[\w\-]*|mongo|mongosh)\b[^\n|]*?[ \t]-p[ \t]?'([^'\n]+)'",
    ),
    (
        "password",
        r"\b(?:mysql\w*|mariadb[\w\-]*|mongo|mongosh)\b[^\n|]*?[ \t]-p[ \t]?\"([^\"\n]+)\"",
    ),
    ("password", r"\b(?:mysql\w*|mariadb[\w\-]*)\b[^\n|]*?[ \t]-p([^\s'\"|;&]+)"),
    (
        "password",
        r"\b(?:sshpass|docker login|podman login|mongo|mongosh)\b[^\n|]*?[ \t]-p[ \t]*([^\s'\"|;&]+)",
    ),
    ("password", r"\bsshpass[ \t]+-p[ \t]*'([^'\n]+)'"),
    ("password", r"\bredis-cli\b[^\n|]*?[ \t](?:-a|--pass)[ \t]+['\"]?([^\s'\"|;&]+)"),
    ("password", r"\b(?:curl|wget|http)\b[^\n|]*?[ \t](?:-u|--user)[ \t]*['\"]?[^\s:'\"]+:([^\s'\"]+)"),
    ("password", r"(?i)\b(?:identified[ \t]+(?:with[ \t]+\w+[ \t]+)?(?:by|as)|password)[ \t]+'([^'\n]{3,})'"),
    ("password", r"(?i)\bpassword[ \t]+\"([^\"\\\n]{3,})\""),
    ("password", r"\bENV[ \t]+\w*(?:PASS|SECRET|TOKEN|KEY|PWD)\w*[ \t]+([^\s\"'\\]+)"),
    ("password", r"\b(?:requirepass|masterauth)[ \t]+\"?([^\s\"]+)"),
    ("password", r"\blogin[ \t]+\S+[ \t]+password[ \t]+(\S+)"),
    ("password", r"\bpass:([^\s'\"]{4,})"),
)


def _alternation(rows: tuple[tuple[str, str], ...]) -> Finder:
    """One pass for many patterns with one group each; the group that took part names the kind."""
    pattern = _compiled("|".join(f"(?:{pattern})" for _, pattern in rows))
    kinds = tuple(kind for kind, _ in rows)

    def find(data: bytes) -> Iterator[Span]:
        for found in pattern.finditer(data):
            for index, kind in enumerate(kinds, start=1):
                if found.start(index) >= 0:
                    yield *found.span(index), kind

    return find


# --- private keys over several lines ---------------------------------------------------------------------------------

_PEM_BEGIN = _compiled(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = _compiled(r"-----END [A-Z0-9 ]{0,40}-----")
_PEM_BODY = _compiled(r"(?:(?:\s|\\+[nr])*[A-Za-z0-9+/=]{16,})*")
_PEM_LONGEST = 20_000  # bytes; a 16,384-bit RSA key takes 12,700


def _private_keys(data: bytes) -> Iterator[Span]:
    """PEM blocks, whole; one cut off before its end goes as far as its base64 does."""
    next_end = (-1, -1)
    for begin in _PEM_BEGIN.finditer(data):
        if next_end[0] < begin.end():
            found = _PEM_END.search(data, begin.end())
            next_end = found.span() if found else (len(data) + _PEM_LONGEST + 1, 0)
        near = next_end[0] - begin.end() <= _PEM_LONGEST
        yield begin.start(), next_end[1] if near else _PEM_BODY.match(data, begin.end()).end(), "private_key"


# --- strings that look drawn at random -------------------------------------------------------------------------------

_RANDOM = "high_entropy"
_RUN = _compiled(r"[A-Za-z0-9+/_\-]{20,}={0,2}")
# What may stand before a random-looking string that is an id or a checksum.
_ID_BEFORE = _compiled(
    r"(?i)(?:trace|span|request|req|correlation|sha[0-9]*|digest|checksum|etag|commit|integrity|hash|h1|md5"
    r"|fingerprint|id|uid|uuid|cursor|offset|build|revision|rev|version|image|blob|object|message|event|parent)"
    r"[\w.\-]*\\*[\"']?[ \t]*[:=@\-/][ \t]*\\*[\"']?$"
)
_LOOK_BACK = 48  # bytes; longer keys are not ids


def _random(data: bytes) -> Iterator[Span]:
    """Long strings mixing upper case, lower case and digits as chance does, unless a key calls them an id or a digest."""
    for found in _RUN.finditer(data):
        start, end = found.span()
        if data[max(0, start - 1) : start] == b"\\" and data[start : start + 1] in (b"n", b"r", b"t"):
            start += 1  # the letter belongs to an escaped line break
        run = data[start:end]
        if run.islower() or run.isupper() or not _looks_random(run):
            continue
        if not _ID_BEFORE.search(data[max(0, start - _LOOK_BACK) : start]) and not _DIGEST.match(run):
            yield start, end, _RANDOM


_DIGEST = _compiled(r"(?i)(?:sha(?:1|256|384|512)|md5|h1)[-:]")
_CLASSES = bytes(
    0x55 if 65 <= c <= 90 else 0x6C if 97 <= c <= 122 else 0x64 if 48 <= c <= 57 else 0x2E for c in range(256)
)  # U, l, d and .
_LONG_ENOUGH = 4_096  # bytes of a run that are looked at; a longer one is told by its beginning


def _looks_random(run: bytes) -> bool:
    """Whether the kinds of character change as often as in a string drawn at random.

    Drawn from 62 letters and digits, neighbours differ in kind with probability 0.62; in CamelCase names, paths and
    words about 0.2. The bar is lower for long strings, where chance strays less from its mean.
    """
    classes = run[:_LONG_ENOUGH].translate(_CLASSES)
    if min(classes.count(b"U"), classes.count(b"l"), classes.count(b"d")) < 2:
        return False
    changes = sum(map(int.__ne__, classes, classes[1:]))
    return changes >= (0.42 if len(classes) < 32 else 0.36) * (len(classes) - 1)


_FINDERS: tuple[Finder, ...] = (
    _keyed,
    _alternation(_SHAPES),
    _alternation(tuple((row.kind, row.pattern) for row in FORMATS)),
    _private_keys,
    _random,
)
