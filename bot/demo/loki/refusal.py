"""The refusals the server answers with: a status and the plain text Loki would send."""


class Refusal(Exception):
    """A request that is answered with `status` and `text` as text/plain."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class ParseRefusal(Refusal):
    """LogQL that does not parse. `line` and `column` count from 1; without them the error has no place.

    An unreadable duration in brackets is reported by Loki with line 0.
    """

    def __init__(self, reason: str, *, line: int | None = None, column: int = 0) -> None:
        place = "parse error : " if line is None else f"parse error at line {line}, col {column}: "
        super().__init__(400, place + reason)
