"""Help as people read it: no sentence about a command is cut short, however narrow the terminal is."""

from __future__ import annotations

import click

WHOLE = 10_000
"""Characters of a sentence that click may show: more than any has. Its own choice is to cut at the line's end."""


class WholeHelpGroup(click.Group):
    """A group that lists its commands each with the whole first sentence of its help, over several lines if need be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; one that is not there is told with the nearest that is."""
        from labctl.yamlfile.document import nearest

        name = args[0]
        if self.get_command(ctx, name) is None and (near := nearest(name, self.list_commands(ctx))):
            ctx.fail(f"No such command '{name}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The section of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(WHOLE)) for name, command in commands if command and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
