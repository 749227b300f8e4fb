"""Regular expressions: RE2's, whose matching time is linear in the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.rules.forms import check_characters

if TYPE_CHECKING:
    import re2

_QUOTED: Final = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)
r"""What RE2 quotes; an escape that is before it is one for itself: `\\Q` is a backslash and a letter."""


def check_pattern(text: str) -> str:
    """Returns a regular expression. Raises ValueError unless it is one."""
    import re2  # with its library it takes two megabytes: most lanes have no pattern

    check_characters(text)
    try:
        compile_pattern(text)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise ValueError(
            f"not a regular expression (RE2 syntax, no look-around or back-references): {reason}"
        ) from error
    return text


def compile_pattern(text: str, ignore_case: bool = False) -> re2._Regexp[str]:
    """Compiles with RE2, whose matching time is linear in the text: no pattern can stall the gateway."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    options.never_capture = True
    options.case_sensitive = not ignore_case
    return re2.compile(text, options=options)


def compile_capturing(text: str) -> re2._Regexp[str]:
    """Compiles as `compile_pattern` does, and keeps what groups match."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(text, options=options)


def enclosed(pattern: str) -> str:
    r"""A sound pattern as a part of a larger one: in a group, which keeps its alternatives and flags in.

    What it quotes is escaped instead: a `\Q` that no `\E` ends would take the group's end, and what follows, for text.
    """
    import re2

    return f"(?:{_QUOTED.sub(lambda found: found[0] if found[1] is None else re2.escape(found[1]), pattern)})"
