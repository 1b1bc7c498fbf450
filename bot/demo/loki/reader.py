"""The tokens of a query, taken one by one, with the refusals for what is not expected."""

from typing import NoReturn

from bot.demo.loki.lexer import Token, tokens
from bot.demo.loki.refusal import ParseRefusal


class TokenReader:
    """Reads one query from left to right, one token ahead. Raises ParseRefusal."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0
        if self.token.kind == "end":
            raise ParseRefusal("syntax error: unexpected $end")

    @property
    def token(self) -> Token:
        """The next token, not taken yet."""
        return self._tokens[self._at]

    def ahead(self, count: int) -> Token:
        """The token `count` after the next one."""
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def unexpected(self, expecting: str = "") -> NoReturn:
        """Refuses the query at the next token."""
        token = self.token
        kind = "symbol" if token.text == "unwrap" else token.kind
        shown = {"word": "IDENTIFIER", "string": "STRING", "number": "NUMBER"}.get(kind, token.text)
        reason = f"syntax error: unexpected {shown}" + (f", expecting {expecting}" if expecting else "")
        raise ParseRefusal(token.text if token.kind == "error" else reason, line=token.line, column=token.column)

    def take(self) -> Token:
        """The next token; reading moves on."""
        token = self.token
        if token.kind == "error":
            self.unexpected()
        if token.kind != "end":
            self._at += 1
        return token

    def is_symbol(self, *texts: str) -> bool:
        """Whether the next token is one of these symbols."""
        return self.token.kind == "symbol" and self.token.text in texts

    def is_word(self, *texts: str) -> bool:
        """Whether the next token is one of these words (written small here, any way in the query)."""
        return self.token.kind == "word" and self.token.text.lower() in texts

    def accept(self, text: str) -> bool:
        """Takes this symbol or word if it is next; says whether it was."""
        found = self.is_symbol(text) or self.is_word(text)
        if found:
            self.take()
        return found

    def symbol(self, *texts: str) -> str:
        """Takes one of these symbols."""
        if not self.is_symbol(*texts):
            self.unexpected(" or ".join(texts))
        return self.take().text

    def word(self) -> str:
        """Takes a name."""
        if self.token.kind != "word":
            self.unexpected("IDENTIFIER")
        return self.take().text

    def string(self, expecting: str = "STRING") -> str:
        """Takes a quoted text."""
        if self.token.kind != "string":
            self.unexpected(expecting)
        return self.take().text

    def number(self) -> float:
        """Takes a number with its sign."""
        sign = -1.0 if self.accept("-") else 1.0
        if self.token.kind != "number":
            self.unexpected("NUMBER")
        return sign * float(self.take().text)

    def names(self) -> tuple[str, ...]:
        """Takes `(name, ...)`, which may be empty."""
        self.symbol("(")
        found: list[str] = []
        while not self.is_symbol(")"):
            found.append(self.word())
            if not self.is_symbol(")"):
                self.symbol(",")
        self.symbol(")")
        return tuple(found)
