"""The verbs that hand a run over: written into one file that can be sent, and run again from it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_bundle
from labctl.cli.option_groups import Conduct, Making
from labctl.cli.options import (
    build_options,
    conduct_options,
    own_name_option,
    retries_option,
    run_argument,
    timeout_option,
)
from labctl.cli.scenarios import run_all
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.bundle.outcome import Outcome
    from labctl.bundle.reading import Bundle
    from labctl.checks.judgement import Result
    from labctl.engine.client import Engine
    from labctl.scenario.made_with import ImageFacts
    from labctl.scenario.runner import RunOptions
    from labctl.stack.model import Stack

IMAGE_S = 1800
"""How long the engine may take to begin with an image that it saves, or to end with one that it loads."""


@click.command()
@run_argument
@click.option(
    "-o", "--output", "file", help="Where it goes; by default RUN.labz, here. A name without an ending gets .labz."
)
@click.option("--with-images", is_flag=True, help="The nodes' image too, so that it runs where Debian has moved on.")
@click.option("--with-phone-image", is_flag=True, help="The phones' image too.")
def bundle(run: str, file: str | None, with_images: bool, with_phone_image: bool) -> None:
    """Write a RUN into one file that can be sent: `labctl replay` runs it again, elsewhere.

    In it are the scenario, the lab, the stack, the patches, what was in the images, the nodes' files, the history,
    logs, capture and report. Secrets, and the names of host and user, are taken out. A file that is there is replaced,
    once the new one is whole. RUN is a folder, its name in labctl-runs, or `latest`.

    Example: labctl bundle latest -o bug.labz
    """
    from labctl.bundle import packing
    from labctl.bundle.layout import SUFFIX
    from labctl.scenario import run_record

    folder = run_record.find(run)
    target = Path(file or f"{folder.resolve().name}{SUFFIX}")
    if not target.suffix and not target.is_dir():
        target = target.with_name(f"{target.name}{SUFFIX}")
    roles = [role for role, wanted in (("node", with_images), ("phones", with_phone_image)) if wanted]
    engine = terminal.connect(answer_s=IMAGE_S) if roles else None
    packed = packing.pack(folder, target, engine, roles)
    manifest = packed.manifest
    terminal.say(f"{manifest.run.sentence} {len(manifest.files)} files, {packed.size / 1e6:.1f} MB")
    for word in ("taken_out", "lacking", "left_out"):
        for line in getattr(manifest, word):
            terminal.say(f"  {word.replace('_', ' ')}: {line}")
    terminal.echo(packed.path)


@click.command()
@click.argument("file", shell_complete=complete_bundle)
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often it is run.")
@retries_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether to run it. Needed where there is no terminal.")
@click.option("--trust", is_flag=True, help="Run what the bundle brings of programs, and of commands for the nodes.")
@own_name_option
@build_options
@timeout_option
@conduct_options
def replay(
    file: str, times: int, retries: int, yes: bool, trust: bool, name: str | None, making: Making, how: Conduct
) -> None:
    """Run a bundle's scenario again, on a fresh lab of its own, and say whether it comes as in the report.

    FILE is a stranger's: it is read as data, nothing of it is unpacked, and no code of it runs on this machine. First
    it is said what is in it and what would be done, and asked whether to. What would run its programs (patches, a
    stack, images) or commands in the lab's containers is named, and wants --trust. --patch tries another patch.

    Exit code: 0 at least once as in the report, be that failed or passed; 1 never, or with another failure; 5 it
    could not be judged; 4 Docker or this machine could not make a lab; 2 no bundle, or one that may not be run.

    Example: labctl replay bug.labz --times 5 --yes
    """
    from labctl.bundle import reading, telling
    from labctl.names import check_lab_name

    if name is not None:
        check_lab_name(name)
    sent = reading.read(Path(file), name)
    for line in telling.described(sent, times):
        terminal.say(line)
    _refuse_programs(sent, trusted=trust)
    if not yes:
        _ask()
    results, outcome = _run(sent, _Wish(Path(file), times, retries, trust), making, how)
    _conclude(results, outcome, how.output)


def _refuse_programs(sent: Bundle, *, trusted: bool) -> None:
    """Raise UsageError that names what of a stranger's would run in the lab's containers, unless it is trusted."""
    if sent.programs and not trusted:
        lines = "\n".join(f"  {line}" for line in sent.programs)
        raise UsageError(
            f"this bundle would run programs or commands of its own in the lab's containers:\n{lines}",
            "if you have read them and want that: --trust",
        )


def _ask() -> None:
    """Ask whether to go on. Raises UsageError where nobody can answer, or who can says no."""
    if not sys.stdin.isatty():
        raise UsageError("nothing was run: there is no terminal to ask whether to", "--yes goes on without a question")
    if not click.confirm("Run it?", default=False, err=True):
        raise UsageError("nothing was run", "--yes goes on without a question")


@dataclass(frozen=True)
class _Wish:
    """The bundle that is to be run, how often, how often again where it is not judged, and whether what it brings of
    programs may run."""

    path: Path
    times: int
    retries: int
    trust: bool


def _run(sent: Bundle, wish: _Wish, making: Making, how: Conduct) -> tuple[list[Result], Outcome]:
    """Make the images, say what differs, and run it."""
    from labctl.bundle import differences, outcome
    from labctl.report.acceptance import Acceptance
    from labctl.scenario import conclusion, made_with

    engine = terminal.connect()
    options = replace(how.options(making), seed=sent.manifest.run.seed)
    if not making.changed:
        options = replace(options, images=replace(options.images, patches=sent.patches))
    stack, options = _on_images(engine, sent, wish, making, options)
    facts = _build(engine, stack, options, quiet=how.quiet)
    differing = differences.differences(sent, made_with.machine(engine), facts)
    for line in (*differing, *(f"{path} is rendered otherwise here" for path in differences.changed_files(sent)[:5])):
        terminal.say(f"differs: {line}")
    report = outcome.Report.of(sent.result, conclusion.terms_of(sent.scenario))
    options = replace(options, retries=wish.retries, in_vain=report.is_not_met_by)
    results = run_all([replace(sent.scenario, stack=stack)] * wish.times, options, how, 1, Acceptance())
    return results, outcome.conclude(report, results, differing)


def _build(engine: Engine, stack: Stack, options: RunOptions, *, quiet: bool) -> dict[str, ImageFacts]:
    """Make the images that are not here, and say what is in them all."""
    from labctl.images import builder
    from labctl.names import ROLE_NODE, ROLE_PHONES
    from labctl.scenario import made_with

    images = builder.build(engine, stack, options.images, terminal.progress(quiet))
    references = {ROLE_NODE: images.node, ROLE_PHONES: images.phone}
    return {role: made_with.image_facts(engine, reference) for role, reference in references.items()}


def _on_images(
    engine: Engine, sent: Bundle, wish: _Wish, making: Making, options: RunOptions
) -> tuple[Stack, RunOptions]:
    """The stack on the images that are wanted, and the options that go with them.

    Those of flags go first; then those of the bundle, where they are trusted, and here there are none or others; then
    what is built here. Patches are in a bundled image already.
    """
    from labctl.bundle import images
    from labctl.images import builder
    from labctl.names import ROLE_NODE

    stack = sent.scenario.stack.with_image(making.image or (sent.foreign_stack.image if sent.foreign_stack else None))
    if making.image or making.changed or not sent.images:
        return stack, options
    if not wish.trust:
        terminal.say("the images in it are not used: that wants --trust")
        return stack, options
    here = builder.resolve(engine, stack, options.images)
    roles = images.wanted(engine, sent.manifest.images, sent.images, here)
    for role in sent.images:
        terminal.say(f"the image of the {role} is {'that of the bundle' if role in roles else 'the one that is here'}")
    stack = images.with_bundled(terminal.connect(answer_s=IMAGE_S), wish.path, stack, roles)
    patches = () if ROLE_NODE in roles else options.images.patches
    return stack, replace(options, images=replace(options.images, patches=patches))


def _conclude(results: list[Result], outcome: Outcome, output: str) -> None:
    from labctl.report import formats

    if output == "json":
        told = [vars(result) | {"standing": result.standing} for result in results]
        terminal.echo(formats.as_json(vars(outcome) | {"reproduced": outcome.reproduced, "results": told}))
    else:
        terminal.echo(outcome.sentence)
    sys.exit(outcome.exit_code)


COMMANDS = (bundle, replay)
