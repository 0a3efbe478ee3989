"""Verbs that need no lab."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from labctl import __version__
from labctl.cli.options import image_option, lab_options, output_option, stack_option
from labctl.cli.terminal import connect, echo, find_lab, find_stack, show, tables
from labctl.errors import HostError, LabctlError, UsageError
from labctl.lab import Lab, Overrides

if TYPE_CHECKING:
    from labctl.stack.model import Stack


@click.command()
@lab_options
@click.option("--files", is_flag=True, help="Every configuration file of every node, in place of the lab file.")
@output_option
def config(file: str | None, flags: Overrides, files: bool, output: str) -> None:
    """Print the lab file with every default filled in; or, with --files, what its nodes are configured with.

    With --name alone, the lab of that name that is up. Addresses and secrets are always those of a lab that was never
    up: they follow from its name.
    """
    from labctl.cluster import lifecycle
    from labctl.labfile import writer
    from labctl.report import formats

    wanted, of_stack = (None if file is not None else _lab_that_is_up(flags)) or find_lab(file, flags)
    if files:
        _print_files(lifecycle.files(wanted, of_stack), output)
        return
    text = formats.as_json(writer.to_data(wanted)) + "\n" if output == "json" else writer.to_yaml(wanted)
    echo(text, nl=False)


def _lab_that_is_up(flags: Overrides) -> tuple[Lab, Stack] | None:
    """The lab that is named and up, with what the other flags say over it; None where there is none, or no engine."""
    from labctl.cluster import lifecycle
    from labctl.names import check_lab_name

    if flags.name is None:
        return None
    check_lab_name(flags.name)
    try:
        there = lifecycle.find_record(connect(), flags.name)
    except HostError:
        return None
    if there is None:
        return None
    record = there.with_flags(flags, find_stack(flags.stack) if flags.stack is not None else None)
    return record.lab, record.stack


def _print_files(files: Mapping[str, Mapping[str, str]], output: str) -> None:
    from labctl.report import formats

    if output == "json":
        echo(formats.as_json(files))
        return
    for node, texts in files.items():
        for path, text in texts.items():
            echo(f"==> {node} {path} <==\n{text}")


@click.command()
@click.argument("what", type=click.Choice(["lab", "scenario"]), default="lab")
def schema(what: str) -> None:
    """Print the JSON Schema of the lab file, or of the scenario file, for editors."""
    from labctl.labfile import reader as lab_reader
    from labctl.scenario import reader as scenario_reader

    echo(scenario_reader.schema() if what == "scenario" else lab_reader.schema())


@click.command()
@lab_options
@image_option
def export(file: str | None, flags: Overrides, image: str | None) -> None:
    """Print the lab as one Docker Compose file that needs no labctl.

    With --name alone, the lab of that name that is up. Docker Compose 2.23.1 or newer reads it.
    """
    from labctl.cluster import lifecycle

    wanted, of_stack = (None if file or image else _lab_that_is_up(flags)) or find_lab(file, flags, image)
    echo(lifecycle.export(wanted, of_stack), nl=False)


@click.command()
@output_option
def stacks(output: str) -> None:
    """List the shipped stacks: what each holds, whether runs have proven it, and whether its images are here."""
    from labctl.images import availability
    from labctl.report import formats

    try:
        engine = connect()
    except HostError:
        engine = None
    standings = availability.standings(engine)
    if output == "json":
        echo(formats.as_json(standings))
        return
    rows = [(stack.name, stack.title, stack.proof or "not yet", stack.images, stack.how) for stack in standings]
    show(tables().table("", ("STACK", "WHAT", "PROVEN", "IMAGES", "HOW"), rows))


@click.command()
@stack_option
@output_option
def doctor(stack: str | None, output: str) -> None:
    """Say what this machine can and cannot do for a lab, and how to mend it."""
    from labctl import doctor as doctoring
    from labctl.images import builder as building
    from labctl.report import formats

    of_stack = find_stack(stack)
    findings = list(doctoring.machine(of_stack))
    try:
        engine = connect()
        images = building.resolve(engine, of_stack, building.Options())
        findings += list(doctoring.examine(engine, of_stack, images))
    except HostError as refusal:
        findings.append(doctoring.no_engine(refusal))
    if output == "json":
        echo(formats.as_json(findings))
    else:
        rows = [(finding.what, finding.level, finding.detail, finding.fix) for finding in findings]
        show(tables().table("", ("WHAT", "", "SEEN", "WAY OUT"), rows))
    if any(finding.level == "broken" for finding in findings):
        sys.exit(4)


@click.command()
@output_option
def version(output: str) -> None:
    """Print the versions of labctl and of the engine."""
    from labctl.engine import client
    from labctl.report import formats

    try:
        engine_version = client.connect().info().version
    except LabctlError:
        engine_version = ""
    data = {"labctl": __version__, "python": sys.version.split()[0], "docker": engine_version}
    if output == "json":
        echo(formats.as_json(data))
    else:
        echo("\n".join(f"{key} {value or 'not reached'}" for key, value in data.items()))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell's completion script: eval "$(labctl completion bash)"."""
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise UsageError(f"no completion for {shell}")
    whole = click.get_current_context().find_root().command
    echo(completion_class(whole, {}, "labctl", "_LABCTL_COMPLETE").source())


COMMANDS = (config, schema, export, stacks, doctor, version, completion)
