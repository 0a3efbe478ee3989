"""The command line: argv -> verb -> exit code. The only package that prints, reads the environment, or exits.

Libraries that take long to load (Docker's, pydantic) are imported within the commands that use them,
so that `labctl --help` and the shell's completion answer at once. Each module lists its commands as COMMANDS.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from labctl import __version__
from labctl.cli import (
    compare,
    faults,
    findings,
    hand_over,
    hunt,
    inspect,
    ladder,
    lifecycle,
    packets,
    phones,
    runs,
    scenarios,
    shrink,
    soak,
    source,
    tools,
)
from labctl.cli.help import WholeHelpGroup
from labctl.cli.terminal import say
from labctl.errors import EXIT_INTERRUPTED, HostError, LabctlError, UsageError
from labctl.shortening import shortened

EXIT_BUG = 3

LONGEST_NAME = 60
"""How much of a name that no file can have is shown."""


@contextmanager
def _read_or_not() -> Iterator[None]:
    """End well where who reads has read enough, as in `labctl logs | head`: click makes that a failure."""
    try:
        yield
    except BrokenPipeError as error:
        output = select.poll()
        output.register(sys.stdout, 0)
        if not output.poll(0):
            raise LabctlError(f"a connection broke off: {error}") from error
        raise click.exceptions.Exit(0) from None


class Group(WholeHelpGroup):
    """All commands; none fails because its output is not read to the end."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click does."""
        with _read_or_not():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does."""
        with _read_or_not():
            return super().invoke(ctx)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LABCTL"})
@click.version_option(__version__, "-V", "--version", "_version", prog_name="labctl")  # `version` is a command
def command_line() -> None:
    """A lab of real Asterisk servers in one cluster, in containers.

    `labctl up` builds the images, starts three nodes, and proves that state crosses between them.
    Every option can be set in the environment too: LABCTL_COMMAND_OPTION, such as LABCTL_UP_TIMEOUT=2m;
    --name and --timeout for every command at once: LABCTL_NAME, LABCTL_TIMEOUT. The name never says which lab
    `run` and `soak` make: theirs they take away.

    Exit codes: 0 passed, 1 the lab failed a check or a wait, or did not come up, 2 usage, a file or a patch,
    3 a bug in labctl, 4 Docker or this machine, 5 something could not be judged, 130 interrupted.
    """


for _command in (
    *lifecycle.COMMANDS,
    *inspect.COMMANDS,
    *phones.COMMANDS,
    *packets.COMMANDS,
    *scenarios.COMMANDS,
    *findings.COMMANDS,
    *runs.COMMANDS,
    *ladder.COMMANDS,
    *soak.COMMANDS,
    *hunt.COMMANDS,
    *shrink.COMMANDS,
    *hand_over.COMMANDS,
    *faults.COMMANDS,
    *compare.COMMANDS,
    *source.COMMANDS,
    *tools.COMMANDS,
):
    command_line.add_command(_command)


INTERRUPTED_AGAIN_S = 0.01
"""So soon it is looked whether Python is done with an interrupt that it passed over."""


def _heed_interrupts() -> None:
    """A signal that asks to end is an interrupt, as Ctrl-C is; and none is lost that comes as Python lets an object go,
    where it tells of the exception and goes on (sys.unraisablehook)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup(1) has a hang-up ignored
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _passed_over


def _passed_over(told: sys.UnraisableHookArgs) -> None:
    """Python passes over an exception: an interrupt comes again, any other is told as ever."""
    if not issubclass(told.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(told)
        return
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in ending if signal.getsignal(number) is signal.default_int_handler]
    for number in heeded[:1]:
        threading.Thread(target=_come_again, args=(number,), daemon=True).start()


def _come_again(number: int) -> None:
    """Interrupt again once Python is done with the one that it passed over: until then it would pass over this one."""
    main, moment = threading.main_thread().ident, threading.Event()
    frame = sys._current_frames().get(main or 0)
    while frame and any(one.f_code is _passed_over.__code__ for one, _ in traceback.walk_stack(frame)):
        moment.wait(INTERRUPTED_AGAIN_S)
        frame = sys._current_frames().get(main or 0)
    os.kill(os.getpid(), number)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    _heed_interrupts()
    try:
        # Of a command that raises click's Exit this is its code.
        code = command_line.main(arguments, prog_name="labctl", standalone_mode=False) or 0
    except LabctlError as error:
        code = _fail(error.message, error.hint, error.exit_code)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        changing = (arguments or sys.argv[1:])[:1] in (["up"], ["down"])
        hint = "labctl up goes on from here, labctl down takes it all away" if changing else ""
        code = _fail("interrupted", hint, EXIT_INTERRUPTED)
    except OSError as error:  # a full disk, most of all: of output, or of a temporary folder
        code = _fail_of_machine(error)
    except Exception as error:
        if os.environ.get("LABCTL_DEBUG"):
            traceback.print_exc()
        hint = "please report it with what LABCTL_DEBUG=1 shows"
        code = _fail(f"a bug in labctl: {type(error).__name__}: {error}", hint, EXIT_BUG)
    sys.exit(code)


def _fail_of_machine(error: OSError) -> int:
    if error.errno == errno.ENAMETOOLONG:
        name = shortened(str(error.filename), LONGEST_NAME)
        return _fail(f"{name}: no file has so long a name", "the path of one that is there", UsageError.exit_code)
    return _fail(f"this machine: {error}", "is there room?", HostError.exit_code)


def _fail(message: str, hint: str, code: int) -> int:
    say(f"labctl: {message}")
    if hint:
        say(f"  {hint}")
    return code
