"""Verbs on the phones of a lab that is up: calls, and phones that stay on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from labctl.cli.completion import complete_phone
from labctl.cli.help import WholeHelpGroup
from labctl.cli.option_groups import Which
from labctl.cli.options import Duration, output_option, quiet_option, timeout_option, which_options
from labctl.cli.packets import capture_file_option, captured_in
from labctl.cli.terminal import connect, echo, progress, say, show, tables
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.sip.phones import Phones

phone_argument = click.argument("phone_name", metavar="PHONE", shell_complete=complete_phone)
phones_argument = click.argument("names", metavar="PHONE...", nargs=-1, required=True, shell_complete=complete_phone)


@click.command()
@click.argument("caller", shell_complete=complete_phone)
@click.argument("callee", shell_complete=complete_phone)
@which_options
@click.option("--duration", type=Duration(), default="1s", show_default=True, help="How long they talk.")
@click.option("--talk/--no-talk", default=True, help="Audio, checked both ways; or signalling alone.")
@capture_file_option
@timeout_option
@quiet_option
@output_option
def call(
    caller: str,
    callee: str,
    which: Which,
    duration: float,
    talk: bool,
    packets: str | None,
    timeout: float,
    quiet: bool,
    output: str,
) -> None:
    """Have one phone call another, or a number: real SIP, audio that is checked to arrive both ways.

    Shows when each node learned the states of the called extension, - where it did not. A phone that is called is
    switched on for it. With --capture the packets of all nodes and phones are kept, for Wireshark and labctl ladder.

    Example: labctl call alice bob
    """
    from labctl.report import formats
    from labctl.scenario import test_call

    engine = connect()
    running = which.load(engine)
    request = test_call.CallRequest(caller, callee, duration, audio=talk)
    with captured_in(packets, engine, running):
        placed = test_call.call(engine, running, request, timeout + duration, progress(quiet))
    if output == "json":
        echo(formats.as_json(placed))
        return
    show(tables().call(placed, [node.name for node in running.lab.nodes]))
    if talk:
        other = f", {callee} heard {placed.callee_heard}" if running.lab.phone_at(callee) else ""
        silent = "" if placed.caller_heard else ": what answers a number need not say anything"
        say(f"{caller} heard {placed.caller_heard} packets{other}{silent}")


@click.group(cls=WholeHelpGroup)
def phone() -> None:
    """Have phones do something by hand. They stay on, and in their calls, until they are switched off.

    \b
        labctl phone on alice bob
        labctl phone dial alice bob && labctl phone answer bob
        labctl phone ls
        labctl phone hangup alice && labctl phone off alice bob
    """


@contextmanager
def _opened(which: Which, *names: str) -> Iterator[tuple[Phones, Lab]]:
    """The phones of a lab, and the lab. Raises UsageError where a name is none of them."""
    from labctl.pressure import look_at_machine
    from labctl.sip.phones import Phones
    from labctl.yamlfile.document import suggestion

    look_at_machine()
    engine = connect()
    running = which.load(engine)
    known = [phone.name for phone in running.lab.phones]
    for name in names:
        if name not in known:
            raise UsageError(f"no phone `{name}` in the lab {running.lab.name}", suggestion(name, known))
    phones = Phones(engine, running)
    try:
        phones.open(audio=False)
        yield phones, running.lab
    finally:
        phones.close()


@phone.command()
@phones_argument
@which_options
@click.option("--answer-after", type=Duration(), help="Answer each call by itself after that time.")
def on(names: tuple[str, ...], which: Which, answer_after: float | None) -> None:
    """Switch phones on: each registers with its node, watches what the lab file says, and rings until it answers."""
    from labctl.sip import phone_control

    ring_ms = phone_control.UNTIL_ANSWERED_MS if answer_after is None else round(answer_after * 1000)
    with _opened(which, *names) as (phones, lab):
        for name in names:
            new = phone_control.switch_on(phones, lab, name, ring_ms)
            say(f"{name} is {'on' if new else 'on already'}, registered with {lab.phone(name).registrars[0]}")


@phone.command()
@click.argument("names", metavar="[PHONE...]", nargs=-1, shell_complete=complete_phone)
@click.option("--all", "all_phones", is_flag=True, help="Every phone that is on.")
@which_options
def off(names: tuple[str, ...], all_phones: bool, which: Which) -> None:
    """Switch phones off: their calls end, and each takes its registration back."""
    from labctl.sip import phone_control

    if bool(names) == all_phones:
        raise UsageError("which phones?", "PHONE..., or --all")
    with _opened(which, *names) as (phones, _lab):
        for name in names or dict.fromkeys(kept.phone for kept in phones.kept()):
            say(f"{name} is off" if phone_control.switch_off(phones, name) else f"{name} was off")


def _extension(lab: Lab, word: str) -> str:
    """The extension of the phone of that name; any other word as it is."""
    called = lab.phone_at(word)
    return called.extension if called else word


@phone.command()
@phone_argument
@click.argument("number", shell_complete=complete_phone)
@which_options
def dial(phone_name: str, number: str, which: Which) -> None:
    """Have a phone call another, or a number; it rings there, or is answered, when this returns."""
    from labctl.sip import phone_control

    with _opened(which, phone_name) as (phones, lab):
        called = lab.phone_at(number)
        agent = phone_control.dial(phones, lab, phone_name, _extension(lab, number), called.name if called else "")
        say(f"{phone_name} calls {number}: {agent.call_state}")


@phone.command()
@phone_argument
@which_options
def answer(phone_name: str, which: Which) -> None:
    """Have a phone answer the call that rings there, whoever dialled."""
    from labctl.sip import phone_control

    with _opened(which, phone_name) as (phones, lab):
        say(f"{phone_name} talks with {phone_control.answer(phones, lab, phone_name)}")


@phone.command()
@phone_argument
@click.argument("number", shell_complete=complete_phone)
@click.option(
    "--attended", is_flag=True, help="It talks with that number already, and connects its other call with it."
)
@which_options
def transfer(phone_name: str, number: str, attended: bool, which: Which) -> None:
    """Have a phone connect whom it talks with with another phone, or a number, and leave (REFER)."""
    from labctl.sip import phone_control

    with _opened(which, phone_name) as (phones, lab):
        peer = phone_control.transfer(phones, phone_name, _extension(lab, number), attended)
        say(f"{phone_name} has connected {peer} with {number}")


@phone.command()
@phone_argument
@click.argument("digits")
@click.option("--info", is_flag=True, help="Each by INFO, in place of events of RTP (RFC 4733).")
@which_options
def dtmf(phone_name: str, digits: str, info: bool, which: Which) -> None:
    """Have a phone press keys in its call: 0 to 9, A to D, * and #."""
    from labctl.sip import phone_control

    if not re.fullmatch(r"[0-9A-D*#]{1,32}", digits):
        raise UsageError(f"no keys of a phone: {digits}", "0 to 9, A to D, * and #, 32 at most")
    with _opened(which, phone_name) as (phones, _lab):
        say(f"{phone_name} presses {digits} for {phone_control.press(phones, phone_name, digits, info)}")


@phone.command()
@phone_argument
@which_options
def hangup(phone_name: str, which: Which) -> None:
    """Have a phone end its calls: hang up, give up, or refuse one that rings."""
    from labctl.sip import phone_control

    with _opened(which, phone_name) as (phones, _lab):
        say(f"{phone_name} has ended its call with {' and '.join(phone_control.hang_up(phones, phone_name))}")


@phone.command()
@phone_argument
@click.argument("extension")
@which_options
def watch(phone_name: str, extension: str, which: Which) -> None:
    """Have a phone watch an extension, as the lamp of a key does; labctl phone ls shows what it was told last."""
    from labctl.sip import phone_control

    with _opened(which, phone_name) as (phones, lab):
        state = phone_control.watch(phones, phone_name, _extension(lab, extension))
        say(f"{phone_name} watches {extension}: {state}")


@phone.command()
@which_options
@output_option
def ls(which: Which, output: str) -> None:
    """List the phones that are on, and what each does: calls that it made, that came in, what it watches."""
    from labctl.report import formats
    from labctl.sip import phone_control

    with _opened(which) as (phones, lab):
        views = phone_control.views(phones, lab)
    if output == "json":
        echo(formats.as_json(views))
        return
    rows = [(view.phone, view.node, view.extension, view.activity, view.state) for view in views]
    show(tables().table("", ("PHONE", "NODE", "EXTENSION", "DOES", "STATE"), rows))


COMMANDS = (call, phone)
