"""What is in a bundle and what a replay would do, for people to read before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.bundle.outcome import plain
from labctl.bundle.reading import Bundle
from labctl.faults.registry import FAULTS
from labctl.lab import Lab

STEPS = 30
"""So many steps are told at most."""


def described(bundle: Bundle, times: int) -> Iterator[str]:
    """What was reported, what is in the bundle, and what would be done with it, in lines."""
    manifest, scenario = bundle.manifest, bundle.scenario
    run, lab = manifest.run, scenario.lab
    yield f"{bundle.source}: {plain(run.scenario)}: {plain(run.title)}"
    yield f"  reported: {plain(run.sentence)} ({plain(run.utc or 'no date')}, labctl {plain(manifest.made_by)})"
    yield f"  lab {lab.name}: nodes {', '.join(node.name for node in lab.nodes)}; phones {_phones(lab)}"
    yield f"  stack {scenario.stack.name}, state goes by {lab.via}" + (
        f", seed {run.seed}" if run.seed is not None else ""
    )
    faults = [str(step) for step in scenario.steps if step.verb in FAULTS]
    yield f"  faults: {', '.join(plain(fault) for fault in faults) or 'none'}"
    for number, step in enumerate(scenario.steps[:STEPS], 1):
        yield f"  step {number:2}: {plain(str(step))}"
    if len(scenario.steps) > STEPS:
        yield f"  and {len(scenario.steps) - STEPS} steps more"
    for config in lab.config:
        lines, edits = config.text.count("\n") + 1, config.edits
        size = f"{lines} lines" if edits is None else f"{len(edits)} sections edited"
        yield f"  configuration beside labctl's own, of {config.scope}: {config.path}, {size}"
    for patch in bundle.patches:
        yield f"  patch of {scenario.stack.cluster_module}: {plain(patch.name)}, {len(patch.content)} bytes"
    for role in bundle.images:
        yield f"  image of the {role}: {plain(manifest.images[role].tag) if role in manifest.images else 'of no name'}"
    for lacking in manifest.lacking:
        yield f"  lacking: {plain(lacking)}"
    yield f"it would be run {'once' if times == 1 else f'{times} times'}, on a lab that is then taken away"


def _phones(lab: Lab) -> str:
    return ", ".join(f"{phone.name} on {phone.node}" for phone in lab.phones) or "none"
