"""What a lab file may say of the servers beside the nodes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag

from labctl.yamlfile.document import NAME, NAME_FIX, Form, Given, Strict, Text, wrong
from labctl.yamlfile.duration import Duration

MAX_SERVICES = 16
"""So many have addresses of their own in the smallest network that a lab can have."""

ServiceName = Annotated[str, Form("name", NAME, NAME_FIX, r"^(all|phones|node|lab)$")]
Package = Annotated[
    str,
    Form(
        "Debian package",
        r"^[a-z0-9][a-z0-9+.-]{1,100}$",
        "small letters, digits, `+`, `.` and `-`, two at least (Debian Policy, 5.6.1)",
    ),
]
FilePath = Annotated[
    str,
    Form(
        "path of a file",
        r"^(?=.{2,200}$)(/(?!\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_.@+-]*)+$",
        "a path from `/` on, such as /etc/kamailio/kamailio.cfg",
    ),
]
Capability = Annotated[
    str,
    Form("capability", r"^(NET_ADMIN|NET_RAW|NET_BROADCAST|SYS_NICE|IPC_LOCK|SYS_PTRACE)$", "such as NET_ADMIN"),
]


IMAGE, IMAGE_FIX = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$", "such as postgres:16 or my/server"
"""As `docker run` takes it. The engine holds it to the rest of its grammar."""

ImageName = Annotated[str, Form("name of an image", IMAGE, IMAGE_FIX)]


def _environment(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,100}", name):
            raise wrong("not the name of a variable", fix="letters, digits and `_`, no digit first")
        if "\0" in value:
            raise wrong("a variable of the environment holds no NUL", fix="leave it out")
    return values


def _way(value: object) -> str:
    return "<line>" if isinstance(value, str) else "<words>"


_Words = Annotated[Annotated[list[Text], Field(min_length=1)], Tag("<words>")]
_Line = Annotated[Annotated[Text, Field(min_length=1)], Tag("<line>")]
_Command = Annotated[_Words | _Line, Discriminator(_way)]


class ServiceEntry(Strict):
    """A server beside the nodes, on the lab's network, by its name as by its address."""

    image: Annotated[ImageName | None, Given] = Field(
        default=None, description="An image that is here, or that a registry has"
    )
    packages: list[Package] = Field(
        default_factory=list, description="In place of an image: Debian's packages, installed on labctl's own base"
    )
    command: Annotated[_Command | None, Given] = Field(
        default=None, description="What it runs, as words or as a line of shell; by default what the image runs"
    )
    environment: Annotated[dict[str, Text], AfterValidator(_environment)] = Field(
        default_factory=dict, description="Variables of its environment"
    )
    files: dict[FilePath, Text] = Field(default_factory=dict, description="Files that it has, by path")
    ready: Annotated[Text | None, Given] = Field(
        default=None,
        min_length=1,
        description="A line of shell in it that ends with 0 as soon as it is ready; nodes start then",
    )
    within: Duration = Field(default=60.0, description="How long that may take")
    capabilities: list[Capability] = Field(
        default_factory=list, description="Capabilities beyond Docker's usual ones; it is never privileged"
    )
