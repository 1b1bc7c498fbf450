"""The errors people meet: each has a code, a sentence and a remedy.

Codes are a category and a number (`MET-002`); docs/errors.md lists every one with its remedy.
Handlers decide by type, never by text.
"""


class GroundwireError(Exception):
    """Something that went wrong, said so that the reader can act.

    `code` is stable and documented, `message` says what happened, `remedy` what to do about it.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{code}: {message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


class ConfigError(GroundwireError):
    """A setting is missing or wrong (CFG)."""


class AskError(GroundwireError):
    """A question cannot be understood or is not allowed (ASK)."""


class SourceError(GroundwireError):
    """A source of evidence did not give what was asked (MET, LOG, CHG). Becomes a gap in the report."""


class SourceUnavailable(SourceError):
    """The source is down, slow or refuses us for now; asking again later may help."""


class QueryRefused(SourceError):
    """The source understood the query and will not run it; asking again will not help."""


class SlackError(GroundwireError):
    """Slack refused something (SLK)."""


class StoreError(GroundwireError):
    """The database cannot be used as it is (STO)."""
