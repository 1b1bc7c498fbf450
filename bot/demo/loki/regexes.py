"""RE2 expressions, compiled once: the dialect Loki uses, linear in the length of the line."""

from functools import lru_cache
from typing import Any

import re2

from bot.demo.loki.refusal import ParseRefusal


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> Any:
    """The compiled expression. Raises ParseRefusal."""
    options = re2.Options()
    options.log_errors = False  # otherwise the C++ library writes to stderr
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        raise ParseRefusal(f"error parsing regexp: {reason}") from error


@lru_cache(maxsize=1024)
def compile_whole(pattern: str) -> Any:
    """The compiled expression, to be used on a whole label value: `match` is true only if all of it matches."""
    compile_regex(pattern)
    return compile_regex(f"^(?s:{pattern})$")
