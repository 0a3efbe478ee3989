"""What the shell is offered for the last word of a command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from labctl.lab import Lab


def complete_lab(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The labs that are up."""
    from labctl.cluster import lifecycle
    from labctl.engine import client

    try:
        return [name for name in lifecycle.names(client.connect(timeouts=client.AT_ONCE)) if name.startswith(word)]
    except LabctlError:
        return []


def complete_node(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The nodes of the lab that is named, or of all."""
    from labctl.engine import client

    try:
        observation = client.connect(timeouts=client.AT_ONCE).observe(context.params.get("name"))
        nodes = {container.node for container in observation.containers if container.role in ("node", "service")}
        return sorted(node for node in nodes if node.startswith(word))
    except LabctlError:
        return []


def complete_group(context: click.Context, parameter: click.Parameter, word: str) -> list[str]:
    """The same for the last of several, as in `n1,n2`."""
    before, comma, last = word.rpartition(",")
    named = before.split(",")
    return [f"{before}{comma}{node}" for node in complete_node(context, parameter, last) if node not in named]


def complete_phone(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The phones of the lab that is meant."""
    lab = _lab(context)
    return [phone.name for phone in lab.phones if phone.name.startswith(word)] if lab else []


def complete_condition(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """What `labctl wait` waits for; after `state=`, every state of every extension."""
    conditions = ["ready", "proven", "state="]
    if word.startswith("state="):
        from labctl.asterisk.output import EXTENSION_STATES

        lab = _lab(context)
        extensions = lab.extensions if lab else ()
        conditions = [f"state={name}:{state}" for name in extensions for state in EXTENSION_STATES.values()]
    return [condition for condition in conditions if condition.startswith(word)]


def _lab(context: click.Context) -> Lab | None:
    """The lab that a command is to look at; None where that is not known, or not up."""
    from labctl.cluster import lifecycle
    from labctl.engine import client

    try:
        return lifecycle.load(client.connect(timeouts=client.AT_ONCE), context.params.get("name")).lab
    except LabctlError:
        return None


def complete_stack(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped stacks, and files."""
    from labctl.stack.loader import shipped_stacks

    return _names_and_files(shipped_stacks(), word)


def complete_file(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped labs, and files."""
    from labctl.labfile.loader import shipped_labs

    return _names_and_files(shipped_labs(), word)


def complete_scenario(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped scenarios, and files."""
    from labctl.scenario.loader import shipped_scenarios

    return _names_and_files(shipped_scenarios(), word)


def complete_patch(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped mends, and files."""
    from labctl.labfile.patch_files import shipped_mends

    return _names_and_files(shipped_mends(), word)


def complete_finding(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The shipped findings."""
    from labctl.scenario.findings.reader import shipped_findings

    return [name for name in shipped_findings() if name.startswith(word)]


def complete_scenario_or_step(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped scenarios, and files; after --steps the steps."""
    from click.shell_completion import CompletionItem

    from labctl.scenario.expansion import BLOCKS
    from labctl.scenario.steps import STEPS

    if not context.params.get("steps"):
        return complete_scenario(context, parameter, word)
    return [CompletionItem(step) for step in (*STEPS, *BLOCKS) if step.startswith(word)]


def complete_lab_or_scenario(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The shipped scenarios and labs, and files."""
    from labctl.labfile.loader import shipped_labs
    from labctl.scenario.loader import shipped_scenarios

    return _names_and_files([*shipped_scenarios(), *shipped_labs()], word)


def complete_run(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The runs that lie where runs go by default, the last of them as `latest`; and folders."""
    from click.shell_completion import CompletionItem

    from labctl.scenario.run_record import RUNS

    names = sorted(path.name for path in RUNS.iterdir() if path.is_dir()) if RUNS.is_dir() else []
    return [CompletionItem(word, type="dir"), *(CompletionItem(name) for name in names if name.startswith(word))]


def complete_run_or_capture(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The runs, and files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word, type="file"), *complete_run(context, parameter, word)[1:]]


def complete_run_or_scenario(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The runs, the shipped scenarios, files and folders."""
    runs = [item for item in complete_run(context, parameter, word) if item.type == "plain"]
    return [*complete_scenario(context, parameter, word), *runs]


def complete_bundle(_context: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Files: bundles lie anywhere."""
    return _names_and_files([], word)


def _names_and_files(names: Iterable[str], word: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    # Files come first: click's script for bash forgets what it was offered before them, and goes to files by itself
    # where no name fits. All are items: click takes a list that begins with a string for one of strings.
    return [CompletionItem(word, type="file"), *(CompletionItem(name) for name in names if name.startswith(word))]


def complete_fault(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The faults in force in the lab that is named, or in all."""
    from labctl.cluster import lifecycle
    from labctl.engine import client
    from labctl.faults import injector

    try:
        connected = client.connect(timeouts=client.AT_ONCE)
        labs = [context.params["name"]] if context.params.get("name") else lifecycle.names(connected)
        faults = [fault.name for name in labs for fault in injector.in_force(connected, name)]
        return [name for name in faults if name.startswith(word)]
    except LabctlError:
        return []
