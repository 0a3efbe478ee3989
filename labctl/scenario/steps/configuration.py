"""Steps: files of running nodes are changed, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from labctl.blueprint.node_config import changed
from labctl.configfile.edit import Edited
from labctl.errors import LabError
from labctl.faults.fault import NodeName
from labctl.lab import ExtraConfig
from labctl.scenario import inline_commands
from labctl.scenario.argument_types import Arguments
from labctl.scenario.expectation import filled_in
from labctl.scenario.step_registry import step
from labctl.stack.model import ConfigPath
from labctl.yamlfile.document import Form, Text, wrong

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab


Readers = Annotated[
    str, Form("module to read it again", r"^[a-z]\w{0,60}(\.so)?$", "such as app_queue; or asterisk, or corosync")
]


class ConfigureForm(Arguments):
    """What must hold among the arguments of a change to a file."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        text, keys = getattr(self, "text", None), getattr(self, "keys", None)
        if (text is None) == (keys is None):
            raise wrong("either `text` or `keys` is wanted", fix="a text is added to the file, keys are edited in it")
        if keys is not None and getattr(self, "whole", False):
            raise wrong("`whole` goes with `text`", fix="keys are edited in the file as it is")
        return self


@step(form=ConfigureForm)
def configure(
    live: LiveLab,
    node: NodeName,
    file: Annotated[ConfigPath, Field(description="Below /etc, such as asterisk/queues.conf")],
    text: Annotated[Text | None, Field(description="Is added to the file")] = None,
    keys: Annotated[
        dict[str, Any] | None, Field(description="Sections and keys to edit, as in a lab file's `config:`")
    ] = None,
    whole: Annotated[bool, Field(description="The text is all of the file")] = False,
    reload: Annotated[Readers | None, Field(description="What reads it again: a module, asterisk, or corosync")] = None,
) -> list[str]:
    """Change a file of a node, whether that runs or not, and have it read again

    What Asterisk complains of is in the history, and returned. It is as it was when the run is over. Raises LabError
    where it is not read.

    Example:
        - configure: {node: n1, file: asterisk/rtp.conf, keys: {general: {rtpstart: 12000}}, reload: res_rtp_asterisk}
        - cli: {node: n1, command: rtp show settings, expect: "Port start: +12000"}
    """

    def told(text: str) -> str:
        return _told(live, file, text)

    def edit(before: str) -> Edited:
        if keys is not None:
            return changed(before, ExtraConfig(node, file, edits=_each(keys, told)), live.running.values(node))
        return changed("" if whole else before, ExtraConfig(node, file, told(text or "")), live.running.values(node))

    return [str(problem) for problem in live.files.change(node, file, edit, reload or "")]


def _each(value: Any, told: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _each(item, told) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each(item, told) for item in value]
    return told(value) if isinstance(value, str) else value


def _told(live: LiveLab, file: str, text: str) -> str:
    """A text for a file with what was captured in it. Raises LabError where it has the node run commands only with
    that: nobody could trust it before."""
    filled = filled_in(text, dict(live.variables))
    if inline_commands.commands({file: filled}) and not inline_commands.commands({file: text}):
        raise LabError(f"`{filled}` may have a node run commands", "what was captured must not be a part of these")
    return filled
