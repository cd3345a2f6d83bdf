"""What is given to a command: no empty word is taken for a folder, a file or a name."""

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand

from pgolf.errors import BadInput


class Command(TyperCommand):
    """A command that refuses an empty argument or option, such as a shell's variable that is not set. A path that is
    empty would be the current folder. An option whose default is empty may be."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of a typer.Context, whose class differs by typer's version; BadInput for an empty one."""
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            for param in self.params:
                words = given.get(param.name or "")
                if param.default != "" and "" in (words if isinstance(words, list | tuple) else [words]):
                    is_argument = isinstance(param, TyperArgument)
                    name = (param.name or "").upper() if is_argument else param.opts[0]
                    advice = "" if param.required else f", or leave {'it' if is_argument else 'the option'} out"
                    raise BadInput(f"{name} is empty; name one{advice}")
        return super().parse_args(ctx, args)


def take_no_empty_word(app: typer.Typer) -> None:
    """Make every command of `app`, and of the groups in it, a `Command`."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance:
            take_no_empty_word(group.typer_instance)
