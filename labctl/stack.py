"""A stack: one generation of Asterisk and Corosync, as data.

What labctl does never depends on a stack's name or version, only on what stands here. The shipped
stacks are images/stacks/*.yaml; a user's own is `--stack ./mine.yaml` and has the same form.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from labctl.document import parse, validate


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ModuleBuild(_Strict):
    """How the cluster module is compiled where the distribution does not ship it."""

    source: str = Field(description="The Debian source package that holds res/MODULE.c")
    packages: tuple[str, ...] = Field(description="Compiler and headers")
    libraries: tuple[str, ...] = Field(default=(), description="Libraries to link with, without `lib`")


class Build(_Strict):
    """The Debian packages of each image."""

    corosync: tuple[str, ...]
    asterisk: tuple[str, ...]
    phone: tuple[str, ...]
    module: ModuleBuild | None = None


class Modules(_Strict):
    """Asterisk's modules by the use that a lab makes of them, so that a node loads only those."""

    core: tuple[str, ...]
    sip: tuple[str, ...] = ()
    voicemail: tuple[str, ...] = ()


class Stack(_Strict):
    """One generation of Asterisk and Corosync, and what it can do."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,30}$")
    title: str
    suite: str | None = Field(default=None, description="Debian suite of the base system")
    base: str | None = Field(default=None, description="Image of the base system, where a registry has it")
    build: Build | None = None
    image: str | None = Field(default=None, description="A node image that was built elsewhere")
    phone_image: str | None = Field(default=None, description="A phone image that was built elsewhere")
    cluster_module: str = Field(description="The Asterisk module that shares state")
    sip_channel: str = Field(description="The technology of dial strings and hints: PJSIP or SIP")
    members_command: str = Field(description="The CLI command that lists what the cluster module sees")
    transports: tuple[str, ...] = Field(min_length=1, description="Totem transports, the default first")
    encrypted_transports: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    modules: Modules
    files: dict[str, str] = Field(description="Template of each file below /etc")

    @model_validator(mode="after")
    def _has_a_source(self) -> Stack:
        if not self.image and not (self.build and self.suite):
            raise ValueError("a stack needs `image`, or `build` and `suite`")
        return self


def parse_stack(text: str, source: str) -> Stack:
    """Read a stack file. Raises InvalidFile with every mistake in it."""
    return validate(Stack, parse(text, source))
