"""`labctl scenarios --steps`: what each step takes, and an example that the tests run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from labctl.cli.terminal import echo
from labctl.errors import UsageError

_INDENT = "    "
_WIDTH = 100


@dataclass(frozen=True)
class _Help:
    """What is said of a step: `takes` are its arguments, `more` what `about` leaves out, `example` steps in YAML."""

    step: str
    takes: str
    about: str
    more: str
    example: str

    @property
    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        yield f"{self.step} {self.takes}".rstrip()
        for text in filter(None, (self.about, *self.more.split("\n\n"))):
            yield from textwrap.wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
        yield ""
        yield from textwrap.indent(self.example, _INDENT).splitlines()
        yield ""


def show_steps(name: str | None, output: str) -> None:
    """Print every step and block of steps, or that of a name, with its example. Raises UsageError for another name."""
    from labctl.report import formats
    from labctl.yamlfile.document import suggestion

    helps = {help_.step: help_ for help_ in _helps()}
    if name and name not in helps:
        raise UsageError(f"no step `{name}`", suggestion(name, list(helps)))
    chosen = [helps[name]] if name else list(helps.values())
    if output == "json":
        echo(formats.as_json([asdict(help_) for help_ in chosen]))
        return
    for help_ in chosen:
        for line in help_.lines:
            echo(line)


def _helps() -> Iterator[_Help]:
    from labctl.scenario.expansion import BLOCKS, EXAMPLES, TAKES
    from labctl.scenario.steps import STEPS

    for verb, kind in STEPS.items():
        yield _Help(verb, kind.takes, kind.about, kind.more, kind.example)
    for block, about in BLOCKS.items():
        yield _Help(block, TAKES[block], about, "", EXAMPLES[block])
