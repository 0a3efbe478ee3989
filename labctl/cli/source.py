"""Asterisk's source to work in, and the search for the change in it that broke something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from labctl.cli.completion import complete_patch, complete_scenario
from labctl.cli.option_groups import Repetition
from labctl.cli.options import folder_option, gathered, own_name_option, quiet_option, stack_option, trust_option
from labctl.cli.scenarios import find_trusted
from labctl.cli.terminal import connect, echo, find_stack, progress, say
from labctl.errors import LabctlError, UsageError
from labctl.lab import Overrides


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path("asterisk"))
@stack_option
@click.option("--mirror", default="", help="A Debian mirror to build from, other than the tools' own.")
@click.option(
    "--patch",
    multiple=True,
    type=click.Path(),
    shell_complete=complete_patch,
    help="A patch, a folder of them, or a mend by its name, as a second commit.",
)
@quiet_option
def source(folder: Path, stack: str | None, mirror: str, patch: tuple[str, ...], quiet: bool) -> None:
    """Lay out Asterisk's source in DIR (`asterisk` by default), as a git repository to work in.

    It is the source of the very version that nodes run, as Debian has it, as one commit. `--source DIR` of up, run,
    soak and compare then runs what was changed in it: the first time all of Asterisk is built, which takes minutes,
    after that what was changed alone.

    \b
        labctl source
        $EDITOR asterisk/main/devicestate.c
        labctl run partition-heal --source asterisk --watch
    """
    from labctl.engine.workshop import folder_of_image
    from labctl.images import working_tree
    from labctl.images.builder import Options, build_source
    from labctl.images.recipes import TREE_SOURCE
    from labctl.labfile.patch_files import read_patches
    from labctl.progress import step

    patches = read_patches(patch)
    working_tree.refuse_taken(folder)
    engine, told = connect(), progress(quiet)
    image = build_source(engine, find_stack(stack), Options(mirror), told)
    with step(told, f"lay out {folder}"), folder_of_image(engine, image, TREE_SOURCE) as archive:
        working_tree.unpack(archive, folder)
    if patches:
        try:
            working_tree.commit_patches(folder, patches)
        except LabctlError:
            working_tree.take_away(folder)
            raise
    _, version = working_tree.first_commit(folder)
    say(f"{folder}: {version}; labctl run SCENARIO --source {folder} runs what is changed in it")


@click.command()
@click.argument("scenario", shell_complete=complete_scenario)
@click.option("--good", default="", help="The last commit, or patch, with which the scenario holds.")
@click.option("--bad", default="", help="One with which it does not; HEAD, or the last patch, by default.")
@click.option("--source", "tree", type=click.Path(path_type=Path), help="A working tree: over its commits.")
@click.option("--patch", multiple=True, type=click.Path(), help="Patches that stand on each other, or a folder.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="How often each is run: one failure is enough.")
@click.option("--retries", type=click.IntRange(0, 10), default=1, help="How often to run again what is not judged.")
@click.option("--strict", is_flag=True, help="What is known to fail is a failure too.")
@gathered("often", Repetition)
@own_name_option
@stack_option
@trust_option
@folder_option("Where run folders go.")
@quiet_option
def bisect(
    scenario: str,
    good: str,
    bad: str,
    tree: Path | None,
    patch: tuple[str, ...],
    often: Repetition,
    **passed_on: Any,
) -> None:
    """Find the change of Asterisk with which a SCENARIO began to fail, by `git bisect run`.

    Each commit that git asks for is built and run, as `labctl run SCENARIO --source DIR@COMMIT --git-bisect` does; one
    that cannot be built or judged is left out. The working tree stays as it is. Of patches, --good 0 is none.

    \b
        labctl bisect partition-heal --source asterisk --good 1a2b3c4 --bad HEAD
        labctl bisect partition-heal --patch series/
    """
    from labctl.images import bisection
    from labctl.labfile.patch_files import read_patches

    if tree and patch:
        raise UsageError("--source and --patch are one too many", "one of them says what is looked through")
    if not tree and not patch:
        raise UsageError("which changes are to be looked through?", "--source DIR for its commits, or --patch")
    if tree and not good:
        raise UsageError("--good: with which commit does it hold?", f"git -C {tree} log --oneline lists them")
    find_trusted(scenario, Overrides(stack=passed_on["stack"]), trust=passed_on["trust"])
    passed_on |= {"repeat": often.repeat, "retries": often.retries, "folder": passed_on["folder"].resolve()}
    command = _run_command(scenario, passed_on)
    if tree:
        changes = bisection.over_commits(tree, good, bad or "HEAD")
    else:
        changes = bisection.over_patches(read_patches(patch), good, bad)
    with changes as place:
        echo(f"the first with which {scenario} fails: {bisection.search(place, command)}")


def _run_command(scenario: str, options: dict[str, Any]) -> list[str]:
    """`labctl run` as git is to run it, from whichever folder."""
    file = str(Path(scenario).resolve()) if Path(scenario).is_file() else scenario
    words = [f"--{key}" + ("" if value is True else f"={value}") for key, value in options.items() if value]
    return [sys.executable, "-m", "labctl", "run", file, "--git-bisect", *words]


COMMANDS = (source, bisect)
