"""Verbs that change something: labs and images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.option_groups import Making, Which
from labctl.cli.options import (
    Duration,
    build_options,
    dry_run_option,
    lab_options,
    output_option,
    quiet_option,
    stack_option,
    timeout_option,
    which_options,
)
from labctl.cli.terminal import connect, echo, find_stack, is_said, is_typed, named_hosts, progress, say, show, tables
from labctl.corosync.totem import FEW_NODES
from labctl.errors import UsageError
from labctl.lab import Lab, Overrides
from labctl.timing import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.blueprint.record import LabRecord, Request
    from labctl.cluster.lifecycle import UpPlan, UpReport
    from labctl.engine.actions import Step
    from labctl.engine.client import Engine
    from labctl.images.builder import Options
    from labctl.stack.model import Stack


@dataclass(frozen=True)
class Wanted:
    """What `up` is to make: the lab on its stack, how the images are made, and what the user asked for."""

    lab: Lab
    stack: Stack
    options: Options
    request: Request


@click.command()
@lab_options
@build_options
@timeout_option
@dry_run_option
@quiet_option
@output_option
def up(
    file: str | None, flags: Overrides, making: Making, timeout: float, dry_run: bool, quiet: bool, output: str
) -> None:
    """Make a lab and return when it is proven ready; mend or change it if it is there.

    Without a file, a lab that is there stays as it was made, patches, image and mirror too, but for what the flags
    say (an empty --patch or --image takes that away); a new one is the shipped three-node.

    Examples:

    \b
        labctl up                         the shipped lab three-node
        labctl up --nodes 5 --name big    one with five nodes beside it
        labctl up -f my-lab.yaml          your own

    Above 16 nodes the default --timeout is longer in proportion, and on a busy machine.
    """
    from labctl.cluster import lifecycle

    engine, wanted = _wanted(file, flags, making)
    lab = wanted.lab
    if dry_run:
        _print_plan(lifecycle.plan_up(engine, lab, wanted.stack, wanted.options, wanted.request), output)
        return
    within_s = timeout if is_said("timeout") else _patience_s(timeout, lab)
    report = lifecycle.up(engine, lab, wanted.stack, wanted.options, within_s, progress(quiet), request=wanted.request)
    for line in report.left:
        say(line)
    _show_report(report, output)


def _show_report(report: UpReport, output: str) -> None:
    from labctl.report import formats

    lab = report.lab
    if output == "json":
        echo(formats.as_json(_as_data(report)))
        return
    if report.changed:
        show(tables().ps(report.nodes, lab))
    else:
        say(f"{lab.name}: nothing to change")
    for problem in report.config_problems:
        say(str(problem))
    say(f"{lab.name}: {formats.proof(report.crossings, report.routes)}")
    if report.differing:
        say(f"{lab.name}: nodes differ about {', '.join(report.differing)}: what was lost is not said again")
        say("  labctl state shows it; it goes when that changes next, or where the lab is made anew")


def _patience_s(timeout_s: float, lab: Lab) -> float:
    """How long a lab may take where nobody has said: one of many nodes longer, and any on a busy machine."""
    from labctl.pressure import look_at_machine

    look_at_machine()
    return PATIENCE.stretch(timeout_s * max(1.0, len(lab.nodes) / FEW_NODES))


def _as_data(report: UpReport) -> dict[str, Any]:
    data = {key: getattr(report, key) for key in ("nodes", "crossings", "routes", "config_problems", "differing")}
    return {"lab": report.lab.name, "changed": [*report.changed], **data}


@click.command()
@which_options
@click.option("--all", "every", is_flag=True, help="Every lab on this engine.")
@click.option(
    "--orphans", is_flag=True, help="Labs that run, soak, compare, bench or tests made and whose process is dead."
)
@click.option(
    "--older-than", type=Duration(), help="Such labs of that age (2h), also of processes that cannot be seen from here."
)
@dry_run_option
@quiet_option
@output_option
def down(
    which: Which, every: bool, orphans: bool, older_than: float | None, dry_run: bool, quiet: bool, output: str
) -> None:
    """Take a lab away, in whatever state it is; nothing of it is left behind."""
    from labctl.cluster import lifecycle
    from labctl.report import formats

    whole = every or orphans or older_than is not None
    if whole and (is_typed("name") or is_typed("file")):
        raise UsageError("--all, --orphans or --older-than and one lab do not go together", "leave one of them out")
    if every and (orphans or older_than is not None):
        raise UsageError("--all takes every lab", "leave it out, or --orphans and --older-than")
    engine = connect()
    if every:
        targets: list[str | None] = [None]
    elif whole:
        targets = [*lifecycle.orphans(engine, older_than)]
    else:
        targets = [name] if (name := which.name_in(engine, remnants=True)) else []
    if not targets:
        say("no lab is left over" if whole else "no lab is up")
    _say_what_is_left(engine, targets)
    if whole and not every and not dry_run:
        steps = lifecycle.down_orphans(engine, older_than, progress(quiet))
    else:
        steps = [action for target in targets for action in _down(engine, target, quiet=quiet, dry_run=dry_run)]
    if output == "json":
        echo(formats.as_json([str(action) for action in steps]))
    elif dry_run:
        echo("\n".join(str(action) for action in steps))
    elif targets and not steps:
        say(f"{targets[0] or 'labs'}: nothing was there")


def _say_what_is_left(engine: Engine, targets: Sequence[str | None]) -> None:
    """Say what `down` leaves on hosts that do not answer, where others were named."""
    from labctl.cluster import lifecycle

    for target in targets if named_hosts() else ():
        for line in lifecycle.left_by_down(engine, target):
            say(line)


def _down(engine: Engine, target: str | None, *, quiet: bool, dry_run: bool) -> list[Step]:
    """Take one lab away, or all where `target` is None; or say what that would be."""
    from labctl.cluster import lifecycle

    return lifecycle.plan_down(engine, target) if dry_run else lifecycle.down(engine, target, progress(quiet))


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
            echo(f"build {recipe.tag}")
        return
    images = building.build(engine, of_stack, options, progress(quiet))
    contents = {image: engine.image_labels(image) or {} for image in (images.node, images.phone)}
    if output == "json":
        echo(formats.as_json(contents))
        return
    rows = [
        (image, key.removeprefix("labctl.").removeprefix("contents."), value)
        for image, labels in contents.items()
        for key, value in sorted(labels.items())
        if key.startswith("labctl.")
    ]
    show(tables().table("", ("IMAGE", "HOLDS", "VERSION"), rows))


def _wanted(file: str | None, flags: Overrides, making: Making) -> tuple[Engine, Wanted]:
    """The lab that `up` is to make: the file's, or without one the lab of that name as it is, or the shipped one.

    Files are read to their end before Docker is asked anything.
    """
    from labctl.cluster import lifecycle
    from labctl.labfile.loader import DEFAULT_LAB
    from labctl.names import check_lab_name

    if flags.name is not None:
        check_lab_name(flags.name)
    if file is not None:
        wanted = _of_file(file, flags, making)
        return connect(hosts=wanted.lab.docker_hosts), wanted
    other_stack = find_stack(flags.stack) if flags.stack is not None else None
    engine = connect()
    there = lifecycle.find_record(engine, flags.name or DEFAULT_LAB)
    if there:
        made = _as_made(there, flags, making, other_stack)
        return engine, replace(made, lab=_where_it_is(engine, made))
    wanted = _of_file(None, flags, making)
    lifecycle.refuse_guess(engine, wanted.lab)
    return engine, wanted


def _of_file(file: str | None, flags: Overrides, making: Making) -> Wanted:
    """A lab file's lab, with what the flags say over it; nothing that is there counts."""
    from labctl.blueprint import config_review
    from labctl.blueprint.record import Request
    from labctl.labfile.loader import find_document

    document = find_document(file)
    lab, stack = config_review.resolve(document, find_stack, flags)
    request = Request(document.data, replace(flags, name=None))
    return _with_images(lab, stack, making.options(), replace(request, image=making.image or None))


def _as_made(there: LabRecord, flags: Overrides, making: Making, other_stack: Stack | None) -> Wanted:
    """The lab that is there, with what the flags say over what it was made of."""
    there.refuse_later()
    record = there.with_flags(flags, other_stack)
    stack, request = record.stack, record.request
    if making.image is not None:
        if request.image and not making.image:  # back to the stack's own image, which the record has not
            stack = find_stack(record.lab.stack)
        request = replace(request, image=making.image or None)
    return _with_images(record.lab, stack, making.options(request), request)


def _where_it_is(engine: Engine, made: Wanted) -> Lab:
    """A lab that stays over its hosts also where its labels alone name them, as those of a run that LABCTL_HOSTS had
    made over them."""
    if made.lab.docker_hosts or made.request.flags.hosts is not None:
        return made.lab
    return replace(made.lab, docker_hosts=tuple(host.name for host in engine.hosts(made.lab.name)))


def _with_images(lab: Lab, stack: Stack, options: Options, request: Request) -> Wanted:
    request = replace(
        request, mirror=options.mirror, insecure=options.insecure, patches=options.patches, lost_patches=()
    )
    return Wanted(lab, stack.with_image(request.image), options, request)


def _print_plan(plan: UpPlan, output: str) -> None:
    from labctl.engine.actions import flatten
    from labctl.report import formats

    lines = [f"build {recipe.tag}" for recipe in plan.builds]
    lines += [str(action) for action in flatten(plan.steps)]
    if output == "json":
        echo(formats.as_json(lines))
    else:
        echo("\n".join(lines) if lines else "nothing to change")


COMMANDS = (up, down, build)
