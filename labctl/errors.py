"""The one error tree of labctl, and with it the exit codes.

LabctlError            3  something went wrong that is not the user's doing
├── UsageError         2  a flag, an argument or a name that does not fit
│   └── InvalidFile    2  a lab or stack file with mistakes; carries every one of them
├── LabError           1  the lab is not as it should be
│   └── NotReady       1  it did not become so in time; says which node lacks what
│       └── RingBroke  5  that may be the machine's doing, which cost a ring its token: not judged
└── HostError          4  Docker or this machine cannot do what is asked
    └── BuildError     4  an image could not be made
        └── PatchRefused 2  for a patch does not fit, or what it makes does not compile

130 is an interrupt (Ctrl-C). Each error says what failed and where; `hint` is the way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_mistake(error: ValidationError) -> str:
    """The first of the mistakes that pydantic found: where, and what."""
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


EXIT_INTERRUPTED = 130
"""By Ctrl-C, or a signal that asks to end."""


class LabctlError(Exception):
    """The root. `hint` says what to do about it, in one or more lines."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LabctlError):
    """A flag, an argument or a name that does not fit."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file: where it is (line, from 1), what is wrong, and what would be right."""

    line: int
    what: str
    fix: str = ""

    def render(self, source: str) -> str:
        """`file:line: what (fix)`, the form that editors jump to."""
        return f"{source}:{self.line}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class InvalidFile(UsageError):
    """A lab or stack file with mistakes; carries every one of them, and what `also` is wrong with a file it names."""

    def __init__(self, source: str, problems: list[Problem], also: UsageError | None = None) -> None:
        self.source = source
        self.problems = sorted(problems)
        self.also = also
        lines = [problem.render(source) for problem in self.problems]
        super().__init__("\n".join([*lines, also.message] if isinstance(also, InvalidFile) else lines))

    @property
    def first(self) -> str:
        """The first mistake, without its place and the way out."""
        return self.problems[0].what


class LabError(LabctlError):
    """The lab is not as it should be."""

    exit_code = 1


class NotReady(LabError):
    """The lab did not become what was waited for; `missing` says which node lacks what."""

    def __init__(self, message: str, missing: dict[str, list[str]], hint: str = "") -> None:
        super().__init__(message, hint)
        self.missing = missing


class RingBroke(NotReady):
    """The lab did not become what was waited for, which may be the machine's doing: it cost a ring its token."""

    exit_code = 5


class HostError(LabctlError):
    """Docker or this machine cannot do what is asked."""

    exit_code = 4


class BuildError(HostError):
    """An image could not be made."""


class PatchRefused(BuildError):
    """An image could not be made, for a patch does not fit, or what it makes does not compile."""

    exit_code = 2
