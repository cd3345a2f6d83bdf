"""Markdown and pages from templates. Whatever a template prints is escaped, so that no log or name can write into a
report."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pgolf.evidence.lines import printable
from pgolf.evidence.run import Evidence
from pgolf.phrases import counted, ended
from pgolf.phrases import signed as with_sign
from pgolf.report.words import MAX_VALUE_CHARS, code, escape
from pgolf.stats.comparison import format_p

UNKNOWN = "unknown"
MOST_DIGITS = 6  # of seconds: clocks tell no more


def shell(lines: Sequence[str]) -> Markup:
    """Commands as a block of code: nothing in it is escaped, and nothing in it ends it."""
    return Markup(
        "\n".join(["```bash", *(printable(line, MAX_VALUE_CHARS).replace("```", "") for line in lines), "```"])
    )


def bpb(value: float | None) -> str:
    """Bits per byte, or nats per token, with the community's eight decimals."""
    return UNKNOWN if value is None else f"{value:.8f}"


def signed(value: float | None, digits: int = 8) -> str:
    """A difference with its sign."""
    return UNKNOWN if value is None else with_sign(value, digits)


def seconds(value: float | None, digits: int = 3) -> str:
    """Seconds, to the millisecond unless asked for fewer digits; with more of them where it would read as zero, and is
    not.

    Examples
    --------
    >>> seconds(12.34, 1), seconds(-0.04, 1), seconds(0.0, 1), seconds(-1e-9)
    ('12.3', '-0.04', '0.0', '0.000')
    """
    if value is None:
        return UNKNOWN
    enough = next((d for d in range(digits, MOST_DIGITS) if round(value, d)), digits)
    return f"{value:z.{enough}f}"


def count(value: int | None) -> str:
    """A whole number with thousands separators."""
    return UNKNOWN if value is None else f"{value:,}"


def ending(rules: Sequence[str]) -> str:
    """A plan's rules for running seeds, as a sentence without its full stop."""
    why = {
        "limits": "misses a hard limit, or is bound to,",
        "loss": "has a loss that is hopeless beside the standing record's",
    }
    return f"a seed that {', or '.join(why[rule] for rule in rules)} is ended early and not replaced"


def evidence(places: Sequence[Evidence]) -> Markup:
    """Where something was read, as code spans; the first few of many."""
    shown = ", ".join(code(f"{e.file}:{e.line}") for e in places[:4])
    return Markup(f"{shown}, …" if len(places) > 4 else shown)


def _in_markdown(value: Any) -> Any:
    """Every expression of a template goes through this. Numbers need no escape; only `Markup` is let through."""
    if value is None:
        return UNKNOWN
    return value if isinstance(value, Markup | int | float) else Markup(escape(str(value)))


def _in_html(value: Any) -> Any:
    """The same for a page, where Jinja itself escapes what is left."""
    if value is None:
        return UNKNOWN
    return value if isinstance(value, Markup | int | float) else printable(str(value), MAX_VALUE_CHARS)


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("pgolf.report"),
        autoescape=True,
        finalize=_in_html if html else _in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: list[Callable[..., str]] = [bpb, signed, seconds, count, ending, counted, ended]
    filters += [] if html else [code, shell, evidence]
    environment.filters |= {f.__name__: f for f in filters} | {"p": format_p}
    return environment


def render(template: str, **context: Any) -> str:
    """The text of `templates/<template>`: a page if that is what it makes (*.html.j2), else Markdown."""
    return _environment(template.endswith(".html.j2")).get_template(template).render(**context)
