"""Steps: another version of Asterisk on a node that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from labctl.faults.fault import NodeName
from labctl.lab import Version
from labctl.labfile.entries import PatchEntries
from labctl.labfile.patch_files import of_data
from labctl.scenario.step_registry import step
from labctl.scenario.upgrading import upgrade_to
from labctl.stack.loader import find_stack, shipped_stacks
from labctl.yamlfile.document import Text, wrong

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab


def _is_shipped(name: str) -> str:
    if name not in shipped_stacks():
        raise wrong("no shipped stack", fix=f"these are: {', '.join(shipped_stacks())}")
    return name


ShippedStack = Annotated[Text, AfterValidator(_is_shipped)]


@step()
def upgrade(
    live: LiveLab,
    node: NodeName,
    stack: Annotated[ShippedStack | None, Field(description="A shipped stack; the lab's own by default")] = None,
    patch: Annotated[PatchEntries | None, Field(description="Patches of Asterisk, by path")] = None,
) -> None:
    """Stop a node, and start it with another stack or patch, or with the lab's own again; what it keeps goes along

    Its voicemail, database and registrations are what it keeps. Returns when it is in its ring. One that was not
    started yet stays so, and starts as that by `start`.

    Example:
        - upgrade: {node: n2, stack: "22"}
    """
    patches = of_data(patch or [])
    upgrade_to(live, node, Version(find_stack(stack) if stack else None, "", patches, stack or ""))
