"""Go's text/template, by `gotpl`: the only module that knows which library renders.

AppStack says of its orchestrations that they are Go's standard text/template, so there are its functions and no others. What
is not known is an error, never `<no value>` in a manifest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gotpl import Environment, ExecutionBudget, TemplateError, TemplateExecutionError, TemplateSyntaxError

MAX_OUTPUT: Final = 1 << 20
"""Letters that a template may make."""
MAX_TURNS: Final = 100_000
"""How often its loops may go round."""
MAX_DEPTH: Final = 64
"""Templates inside one another: more is a cycle."""

_CURLY: Final = re.compile("[“”„‟«»‘’‚‛]")
_GLUED: Final = re.compile(
    r"(?P<words>(?:else|if|range|with|eq|ne|lt|le|gt|ge|and|or|not|len|index|printf|end)+)(?P<rest>[.\"$].*)?"
)
_WORD: Final = re.compile(r"else|range|with|printf|index|len|not|and|end|if|eq|ne|lt|le|gt|ge|or")
_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


class Mishap(Exception):
    """A template that cannot be rendered. Lines and columns count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        self.line = line
        self.column = column
        self.message = message
        super().__init__(f"{line}:{column}: {message}")


def compile_template(source: str) -> Any:
    """A template that can be rendered by `render`. Raises Mishap."""
    try:
        return _environment().from_string(source, name="template")
    except TemplateSyntaxError as error:
        line, column = error.line, error.column
        raise Mishap(line, column, _with_likely_form(_bare(error), source, line)) from error
    except (TemplateError, RecursionError) as error:
        raise Mishap(1, 1, f"the template cannot be read: {error}") from error


def render(template: Any, data: Mapping[str, Any]) -> str:
    """What a template makes of data. Raises Mishap."""
    try:
        text: str = template.render(data)
    except TemplateExecutionError as error:
        message = error.message.replace("missing key or attribute", "there is no")
        if message.startswith("template-depth budget"):
            message = f"the templates call one another in a circle: more than {MAX_DEPTH} inside one another"
        elif message.startswith(("iteration budget", "output")):
            message = f"it makes too much: {message}"
        raise Mishap(error.line or 1, error.column or 1, message) from error
    except (TemplateError, RecursionError, ValueError, TypeError) as error:
        raise Mishap(getattr(error, "line", 1) or 1, getattr(error, "column", 1) or 1, f"{error}") from error
    return text


def _environment() -> Environment:
    return Environment(
        missing_key="error",
        budget=ExecutionBudget(max_output_chars=MAX_OUTPUT, max_iterations=MAX_TURNS, max_template_depth=MAX_DEPTH),
    )


def _bare(error: TemplateError) -> str:
    """The message without the place in front of it."""
    return re.sub(r"^template:\d+:\d+: ", "", str(error))


def _with_likely_form(message: str, source: str, line: int) -> str:
    """The message, and what the line probably was before a word processor, a web page or a chat had it."""
    lines = source.splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    for action in _ACTION.finditer(text):
        found = action[0]
        likely = likely_form(found)
        if likely != found:
            return f"{message}; likely meant: {likely}"
    return message


def likely_form(action: str) -> str:
    """An action with straight quotes, and blanks between words that stuck together; what is fine stays as it is."""
    text = _CURLY.sub('"', action)
    inner = _ACTION.fullmatch(text)
    if inner is None:
        return text
    parts = inner[1].split(" ")
    parts[0] = _unglued(parts[0])
    start, end = text[: inner.start(1)], text[inner.end(1) :]
    return f"{start}{' '.join(parts)}{end}"


def _unglued(word: str) -> str:
    glued = _GLUED.fullmatch(word)
    if glued is None or not (glued["rest"] or len(_WORD.findall(glued["words"])) > 1):
        return word
    words = [*_WORD.findall(glued["words"]), *([glued["rest"]] if glued["rest"] else [])]
    return " ".join(words)
