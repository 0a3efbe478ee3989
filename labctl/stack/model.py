"""A stack: one generation of Asterisk and Corosync, as data.

What labctl does never depends on a stack's name or version, only on what stands here. The shipped
stacks are images/stacks/*.yaml; a user's own is `--stack ./mine.yaml` and has the same form.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from labctl.stack.carriers import Carrier
from labctl.yamlfile.document import ANY, Form, Strict, Text, parse, wrong
from labctl.yamlfile.review import Review

StackTitle = Annotated[
    str, Form("name", r"^[a-z0-9][a-z0-9.-]{0,30}$", "small letters, digits, `.` and `-`, 31 at most")
]
ConfigPath = Annotated[
    str,
    Form(
        "file of Asterisk or Corosync",
        r"^(?=.{1,100}$)(asterisk|corosync)(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$",
        "a path below /etc, such as asterisk/rtp.conf or corosync/corosync.conf",
    ),
]

LabPath = Annotated[
    str,
    Form(
        "file of Asterisk or Corosync",
        r"^(?=.{1,100}$)(?!/etc/(asterisk|corosync|service)(/|$))((asterisk|corosync)|/(etc|opt|usr/local"
        r"|usr/share/asterisk|var/lib/asterisk|var/spool/asterisk))(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$",
        "a path below /etc, such as asterisk/rtp.conf or corosync/corosync.conf; or of a whole file of another's, such "
        "as /etc/odbc.ini: below /etc, /opt, /usr/local, /usr/share/asterisk, /var/lib/asterisk, /var/spool/asterisk",
    ),
]
"""A file that a lab file gives a node: one that labctl edits too, or a whole one by its path from `/` on."""


NodePath = Annotated[
    str,
    Form(
        "file of a node",
        r"^(?=.{1,100}$)(asterisk|corosync|service)(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$",
        "a path below /etc/asterisk, /etc/corosync or /etc/service",
    ),
]


class ModuleBuild(Strict):
    """How the cluster module is compiled where the distribution does not ship it."""

    source: Text = Field(description="The Debian source package that holds res/MODULE.c")
    packages: tuple[Text, ...] = Field(description="Compiler and headers")
    libraries: tuple[Text, ...] = Field(default=(), description="Libraries to link with, without `lib`")


class SourceBuild(Strict):
    """How all of Asterisk is built from its Debian source package, for patches of more than the cluster module."""

    package: Text = Field(description="The Debian source package")
    packages: tuple[Text, ...] = Field(description="Compiler, headers and tools; what is not there is not built")
    configure: tuple[Text, ...] = Field(default=(), description="Options of its ./configure, beside Debian's paths")
    enable: tuple[Text, ...] = Field(default=(), description="What menuselect enables, by name")
    disable: tuple[Text, ...] = Field(default=(), description="What menuselect disables: modules, options, categories")
    flags: Text = Field(default="-g -O2", description="CFLAGS")


class PhoneBuild(Strict):
    """The image of the phones: it may stand on another Debian than the nodes do."""

    packages: tuple[Text, ...]
    suite: Text | None = Field(default=None, description="The stack's own by default")
    base: Text | None = Field(default=None, description="The stack's own by default")


class Build(Strict):
    """The Debian packages of each image."""

    corosync: tuple[Text, ...]
    asterisk: tuple[Text, ...]
    phone: PhoneBuild
    module: ModuleBuild | None = None
    source: SourceBuild | None = None
    debugger: tuple[Text, ...] = Field(
        default=(), description="The packages of gdb, put into nodes that run what was patched"
    )
    at_once: bool = Field(
        default=False,
        description="The whole node comes with its base system: the suite's own apt cannot check signatures any more",
    )
    needs_vsyscall: bool = Field(
        default=False,
        description="Its 64-bit programs are of before glibc 2.14: where the kernel has no vsyscall page they crash, "
        "and the node is i386",
    )
    architecture: Text | None = Field(
        default=None, description="Debian's name of the node's architecture; the engine's own by default"
    )
    keyring: Text | None = Field(
        default=None, description="Debian's keyring that its signatures are checked with; the tools' own by default"
    )


class Modules(Strict):
    """Asterisk's modules by the use that a lab makes of them, so that a node loads only those."""

    core: tuple[Text, ...]
    sip: tuple[Text, ...] = ()
    voicemail: tuple[Text, ...] = ()
    preload: tuple[Text, ...] = Field(
        default=(), description="Those among them that must be loaded before all others, whatever their priority"
    )
    never: tuple[Text, ...] = Field(
        default=(), description="Those that are left out where a lab loads all: twins that keep another from working"
    )


class Extra(Strict):
    """What a node needs beside the rest, for a way in which state goes from node to node or from site to site."""

    modules: tuple[Text, ...] = ()
    files: dict[NodePath, Text] = Field(default_factory=dict)


class Proven(Strict):
    """What "proven" means for a stack: whose build of it labctl has run, and when."""

    build: Text = Field(description="What was run: whose packages, or which releases, on what")
    when: Text = Field(description="The day, or the occasion, and labctl's version")

    def __str__(self) -> str:
        return f"{self.when}: {self.build}"


_BY_ITS_AUTHOR = {"build": "whoever wrote the stack file says so", "when": "at a time not told"}


def _as_proven(value: object) -> object:
    """What `proven` says, also in stack files of 0.1, which say no more than true or false."""
    if value in (False, "false"):
        return None
    return _BY_ITS_AUTHOR if value in (True, "true") else value


def _as_several(value: object) -> object:
    """Several texts, also in stack files of 0.1, which have one or none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise wrong("not a regular expression: {why}", why=str(error)) from None
    return text


Pattern = Annotated[Text, AfterValidator(_compiles)]
"""A regular expression, as Python's `re` has them."""


class UsualError(Strict):
    """An error that is logged always, or whenever something that is right happens, so that it tells nothing."""

    pattern: Pattern = Field(description="A regular expression, found in the line")
    why: Text = Field(description="Where it comes from, and why it is none")


class ContainerLimits(Strict):
    """What each container of a lab may take of the host, so that one that goes wild takes nothing else with it."""

    processes: int = Field(default=4096, ge=64, description="Processes and threads")
    memory: int = Field(default=2048, ge=256, description="MiB, /dev/shm included")


class Stack(Strict):
    """One generation of Asterisk and Corosync, and what it can do."""

    name: StackTitle
    title: Text
    suite: Text | None = Field(default=None, description="Debian suite of the base system")
    base: Text | None = Field(default=None, description="Image of the base system, where a registry has it")
    build: Build | None = None
    image: Text | None = Field(default=None, description="A node image that was built elsewhere")
    phone_image: Text | None = Field(default=None, description="A phone image that was built elsewhere")
    cluster_module: Text = Field(description="The Asterisk module that shares state")
    sip_channel: Literal["PJSIP", "SIP"] = Field(description="The technology of dial strings and hints")
    proven: Annotated[Proven | None, BeforeValidator(_as_proven)] = Field(
        default=None, description="By which build, and when, runs of labctl have proven what stands here"
    )
    ring_command: Text = Field(default="corosync-quorumtool -s", description="What prints who is in a node's ring")
    members_command: Text = Field(description="The CLI command that lists what the cluster module sees")
    other_members_command: Text | None = Field(
        default=None, description="The same in other words, for versions that do not know the first"
    )
    group_command: Text | None = Field(
        default=None,
        description="What prints the group of Corosync's that the cluster module is in, by Corosync alone; with it, "
        "who looks at a node does not ask the module, whose connection takes one question at a time",
    )
    joins: Literal["after-ring", "at-boot"] = Field(
        default="after-ring", description="When Asterisk loads the cluster module"
    )
    follows_corosync: bool = Field(
        default=False, description="Whether Asterisk is to be restarted when Corosync was, by default"
    )
    refreshes_mailboxes: bool = Field(default=True, description="Whether AMI has VoicemailRefresh")
    membership_lines: tuple[Text, ...] = Field(
        default=(), description="What log lines hold that tell of a change of membership"
    )
    mute_lines: tuple[Text, ...] = Field(
        default=(), description="What log lines hold that tell that the cluster module sent nothing of a change"
    )
    refused_lines: tuple[Text, ...] = Field(
        default=(),
        description="What log lines hold that tell that Corosync did not take what the cluster module sent of a state, "
        "which is lost",
    )
    telling_lines: tuple[Text, ...] = Field(
        default=(), description="What log lines hold that explain why state is not as it should be"
    )
    usual_errors: tuple[UsualError, ...] = Field(
        default=(), description="What Asterisk and Corosync log as an error though nothing is wrong"
    )
    lost_ring: Annotated[tuple[Pattern, ...], BeforeValidator(_as_several)] = Field(
        default=(),
        description="Regular expressions: one is found in what `members_command` and `other_members_command` answer "
        "where the module will never find its ring again, so that Asterisk must be restarted",
    )
    transports: tuple[Text, ...] = Field(min_length=1, description="Totem transports, the default first")
    encrypted_transports: tuple[Text, ...] = ()
    capabilities: tuple[Text, ...] = ()
    limits: ContainerLimits = Field(default_factory=ContainerLimits)
    modules: Modules
    files: dict[NodePath, Text] = Field(description="Template of each file below /etc")
    carriers: dict[Carrier, Extra] = Field(
        default={"corosync": Extra()}, min_length=1, description="What can carry state between nodes"
    )
    dundi: Extra | None = Field(default=None, description="For labs of several sites; where it is not, there are none")

    def has_lost_ring(self, answer: str) -> bool:
        """Whether the module of a node will never find its ring again, of what its `members_command` and
        `other_members_command` answered."""
        return any(re.search(pattern, answer) for pattern in self.lost_ring)

    def is_usual(self, line: str) -> bool:
        """Whether an error that a node logs tells nothing."""
        return any(re.search(usual.pattern, line) for usual in self.usual_errors)

    def is_of_joining(self, line: str) -> bool:
        """Whether an error that a node's Asterisk logs is of its cluster module. As a lab comes up that is refused
        while the ring is formed, and tries until it is taken."""
        return f"{self.cluster_module}.c:" in line

    def with_image(self, image: str | None) -> Stack:
        """The stack with nodes of an image that was built elsewhere; the same where that is None."""
        return self.model_copy(update={"image": image}) if image else self


def parse_stack(text: str, source: str, templates: Collection[str]) -> Stack:
    """Read a stack file, which may name any of `templates`. Raises InvalidFile with every mistake in it."""
    review = Review(parse(text, source))
    stack = review.fit(Stack)
    review.known("template", review.values("files", ANY), templates)
    review.known("template", review.values("carriers", ANY, "files", ANY), templates)
    review.known("template", review.values("dundi", "files", ANY), templates)
    every_module = [name for use in ("core", "sip", "voicemail") for name in review.all("modules", use, ANY) or []]
    review.known("module", review.values("modules", "preload", ANY), every_module)
    review.known("transport", review.values("encrypted_transports", ANY), review.all("transports", ANY))
    if not review.doubts("image") and not review.doubts("build") and not review.doubts("suite"):
        keys = {key for key, value in review.document.data.items() if value is not None}
        if not {"image"} <= keys and not {"build", "suite"} <= keys:
            review.say((), "nothing says where the images come from", "`image`, or `build` and `suite`")
    if stack and stack.build and stack.build.at_once:
        _review_at_once(stack.suite, stack.build, review)
    review.settle()
    assert stack
    return stack


def _review_at_once(suite: str | None, build: Build, review: Review) -> None:
    """What cannot be where a suite's own apt installs nothing any more."""
    if build.phone.suite in (None, suite):
        review.say(("build", "phone"), f"the phones cannot stand on {suite} too", "`suite: sid`, and a `base` of it")
    for key in ("module", "source"):
        if getattr(build, key):
            review.say(("build", key), f"no {key} is compiled where a node comes at once", "leave it out")
