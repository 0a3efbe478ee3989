"""Verbs that change something: labs and images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.option_groups import Making, Which
from labctl.cli.options import (
    build_options,
    dry_run_option,
    lab_options,
    output_option,
    quiet_option,
    stack_option,
    timeout_option,
    which_options,
)
from labctl.cli.terminal import connect, find_lab, find_stack, is_typed, progress, say, show, tables
from labctl.errors import UsageError
from labctl.lab import Lab, Overrides

if TYPE_CHECKING:
    from labctl.cluster.lifecycle import UpPlan, UpReport
    from labctl.engine.client import Engine
    from labctl.stack.model import Stack


@click.command()
@lab_options
@build_options
@timeout_option
@dry_run_option
@quiet_option
@output_option
def up(
    file: str | None,
    flags: Overrides,
    making: Making,
    timeout: float,
    dry_run: bool,
    quiet: bool,
    output: str,
) -> None:
    """Make a lab and return when it is proven ready; mend or change it if it is there.

    Without a file, a lab that is there stays as it was made but for what the flags say; a new one is the shipped
    three-node.

    Examples:

    \b
        labctl up                         the shipped lab three-node
        labctl up --nodes 5 --name big    one with five nodes beside it
        labctl up -f my-lab.yaml          your own
    """
    from labctl.cluster import lifecycle
    from labctl.report import formats

    options = making.options()
    engine, wanted, of_stack = _wanted(file, flags, making.image)
    if dry_run:
        _print_plan(lifecycle.plan_up(engine, wanted, of_stack, options), output)
        return
    done = lifecycle.up(engine, wanted, of_stack, options, timeout, progress(quiet))
    if output == "json":
        click.echo(formats.as_json(_as_data(done)))
        return
    if done.done:
        show(tables().ps(done.nodes, wanted))
    else:
        say(f"{wanted.name}: nothing to change")
    for problem in done.config_problems:
        say(str(problem))
    say(f"{wanted.name}: {formats.proof(done.crossings, done.routes)}")


def _as_data(done: UpReport) -> dict[str, Any]:
    data = {key: getattr(done, key) for key in ("nodes", "crossings", "routes", "config_problems")}
    return {"lab": done.lab.name, "changed": [str(each) for each in done.done], **data}


@click.command()
@which_options
@click.option("--all", "every", is_flag=True, help="Every lab on this engine.")
@dry_run_option
@quiet_option
@output_option
def down(which: Which, every: bool, dry_run: bool, quiet: bool, output: str) -> None:
    """Take a lab away, in whatever state it is; nothing of it is left behind."""
    from labctl.cluster import lifecycle
    from labctl.report import formats

    if every and (is_typed("name") or is_typed("file")):
        raise UsageError("--all and one lab do not go together", "leave one of them out")
    engine = connect()
    target = None if every else which.name_in(engine)
    if target is None and not every:
        say("no lab is up")
        return
    steps = lifecycle.plan_down(engine, target) if dry_run else lifecycle.down(engine, target, progress(quiet))
    if output == "json":
        click.echo(formats.as_json([str(step) for step in steps]))
    elif dry_run:
        click.echo("\n".join(str(step) for step in steps))
    elif not steps:
        say(f"{target or 'labs'}: nothing was there")


@click.command()
@stack_option
@build_options
@dry_run_option
@quiet_option
@output_option
def build(stack: str | None, making: Making, dry_run: bool, quiet: bool, output: str) -> None:
    """Make the images of a stack that are not there yet, and say what is in them."""
    from labctl.images import builder as building
    from labctl.report import formats

    of_stack = find_stack(stack).with_image(making.image)
    options = making.options()
    engine = connect()
    if dry_run:
        for recipe in building.plan(engine, of_stack, options):
            click.echo(f"build {recipe.tag}")
        return
    made = building.build(engine, of_stack, options, progress(quiet))
    contents = {image: engine.image_labels(image) or {} for image in (made.node, made.phone)}
    if output == "json":
        click.echo(formats.as_json(contents))
        return
    rows = [
        (image, key.removeprefix("labctl.").removeprefix("contents."), value)
        for image, labels in contents.items()
        for key, value in sorted(labels.items())
        if key.startswith("labctl.")
    ]
    show(tables().table("", ("IMAGE", "HOLDS", "VERSION"), rows))


def _wanted(file: str | None, flags: Overrides, image: str | None) -> tuple[Engine, Lab, Stack]:
    """The lab that `up` is to make: the file's, or without one the lab of that name as it is, or the shipped one.

    Files are read to their end before Docker is asked anything.
    """
    from labctl.cluster import lifecycle
    from labctl.labfile.loader import DEFAULT_LAB

    if file:
        wanted, of_stack = find_lab(file, flags, image)
        return connect(), wanted, of_stack
    other = find_stack(flags.stack) if flags.stack else None
    engine = connect()
    there = lifecycle.as_made(engine, flags.name or DEFAULT_LAB, replace(flags, name=None), other)
    wanted, of_stack = there or find_lab(None, flags)
    return engine, wanted, of_stack.with_image(image)


def _print_plan(plan: UpPlan, output: str) -> None:
    from labctl.engine.actions import flatten
    from labctl.report import formats

    lines = [f"build {recipe.tag}" for recipe in plan.builds]
    lines += [str(step) for step in flatten(plan.steps)]
    if output == "json":
        click.echo(formats.as_json(lines))
    else:
        click.echo("\n".join(lines) if lines else "nothing to change")


COMMANDS = (up, down, build)
