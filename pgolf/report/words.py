"""A stranger's words in Markdown: shown as they are, never obeyed."""

import html
import re

from markupsafe import Markup

from pgolf.evidence.lines import printable

MAX_VALUE_CHARS = 2000  # characters of one value
MARKUP = re.compile(r"([\\`*_\[\]|~#])")
# Words that GitHub makes a link, a mention or a formula of, though no Markdown is in them
LIVELY = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=#)(?=\d)|(?<=[Gg][Hh])(?=-\d)|(?<=@)(?=[\w-])|(?<=\$)", re.I)
# A list, or a line that makes a heading or a table of the line above it; not a number, as -0.02 or 1.5
BEGINS_BLOCK = re.compile(r"^(?=[-+](?:\s|$)|=+\s*$|:?-+:?\s*$)|^(\d{1,9})(?=[.)](?:\s|$))")


def escape(text: str) -> str:
    r"""Text that Markdown and HTML show as it is: one line, no markup, no table cell left early, nobody mentioned.

    Examples
    --------
    >>> print(escape("<b>|x|* [a](b)"))
    &lt;b&gt;\|x\|\* \[a\](b)
    """
    text = MARKUP.sub(r"\\\1", html.escape(printable(text, MAX_VALUE_CHARS), quote=False))
    return re.sub(r"@(?=\w)", "@\u200b", text)


def code(text: object) -> Markup:
    """Text as a code span, whatever is in it."""
    words = printable(str(text), MAX_VALUE_CHARS).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{words}`" if words else "(empty)")


def inert(text: str) -> str:
    r"""Text that GitHub shows as it is: `escape`, and neither a bare address nor a number of an issue becomes a link.

    Examples
    --------
    >>> print(inert("- [a](b) <i>").replace("\u200b", "."))
    \- \[a\](b) &lt;i&gt;
    >>> print(inert("@all #1 https://a.b").replace("\u200b", "."))
    @.all \#.1 https:.//a.b
    >>> inert("-0.0245"), inert("0.005 nats"), inert("1. one"), inert("---")
    ('-0.0245', '0.005 nats', '1\\. one', '\\---')
    """
    begun = BEGINS_BLOCK.sub(r"\1\\", escape(text), count=1)
    return re.sub("\u200b{2,}", "\u200b", LIVELY.sub("\u200b", begun))
