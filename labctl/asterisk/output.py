"""Asterisk's words: what its CLI and its manager interface print, as facts. Pure."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

EXTENSION_STATES = {
    -2: "Removed",
    -1: "NoHint",
    0: "Idle",
    1: "InUse",
    2: "Busy",
    4: "Unavailable",
    8: "Ringing",
    9: "InUse&Ringing",
    16: "Hold",
    17: "InUse&Hold",
}
"""AMI's ExtensionState `Status`, a bit mask (include/asterisk/pbx.h, enum ast_extension_states)."""

HINTS_COMMAND = "core show hints"
"""Lists every hint with the state that it told last; Asterisk 1.4 to 22. It cuts `extension@context` at 30."""

DEVICE_STATES = ("NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD")
"""What DEVICE_STATE() takes for a Custom device (`core show function DEVICE_STATE`)."""

_UPTIME_UNITS_S = {"year": 31536000, "week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}


def extension_state(status: str) -> str:
    """The name of an AMI `Status` number."""
    return EXTENSION_STATES.get(int(status), status)


def state_named(word: str) -> str | None:
    """The name of an extension's state that is meant by a word in any case; None where it is none."""
    return next((state for state in EXTENSION_STATES.values() if state.lower() == word.lower()), None)


@dataclass(frozen=True)
class Hint:
    """A line of `core show hints`."""

    extension: str
    context: str
    device: str
    state: str
    watchers: int


def parse_hints(text: str) -> tuple[Hint, ...]:
    """`core show hints`, Asterisk 1.6 to 22."""
    lines = re.findall(
        r"^\s*(\S+)@(\S+)\s*:\s+(\S*)\s+State:(\S+)\s+(?:Presence:\S*\s+)?Watchers\s+(\d+)", text, re.MULTILINE
    )
    return tuple(
        Hint(extension, context, device, state, int(watchers)) for extension, context, device, state, watchers in lines
    )


def lists_hints_to_the_end(text: str) -> bool:
    """Whether `core show hints` printed all: its last line counts them, or it says that there are none."""
    return bool(re.search(r"^- \d+ hints registered|no registered dialplan hint", text, re.MULTILINE | re.IGNORECASE))


def parse_members(text: str) -> tuple[str, ...]:
    """Who the cluster module sees, as ids, sorted: `corosync show members` (of the CPG group `asterisk`,
    listed in the order they joined) or `ais show clm members` (of those that are members, such as 0xb1012c6)."""
    ids: list[str] = []
    if "Nodeid:" in text:
        ids = re.findall(r"Group: asterisk\s*\n(?:===[^\n]*Address[^\n]*\n)*=== --> Nodeid: (\d+)", text)
    else:
        ids = re.findall(r"==> ID: (\S+)\s*\n=== ==> Address: \S+\s*\n=== ==> Member: Yes", text)
    return tuple(sorted(ids, key=lambda member: int(member, 0)))


def parse_version(text: str) -> str:
    """The version in `core show version`, `core show settings` or `asterisk -V`."""
    version = re.search(r"(?:Asterisk|^ *Version:) +(\S+)", text, re.MULTILINE)
    return version[1] if version else ""


def parse_modules(text: str) -> tuple[str, ...]:
    """The modules that `module show` or `module show like` lists, by name without the `.so`, in its order."""
    return tuple(re.findall(r"^(\S+)\.so ", text, re.MULTILINE))


def parse_uptime(text: str) -> int | None:
    """Seconds in `core show uptime`, or None if the text has none."""
    line = re.search(r"System uptime:\s*(.+)", text)
    if not line:
        return None
    return sum(int(count) * _UPTIME_UNITS_S[unit] for count, unit in re.findall(r"(\d+) (\w+?)s?\b", line[1]))


Message = dict[str, str]
"""One AMI message: header -> value; several headers of one name are joined by newlines."""


def parse_message(block: str) -> Message:
    """One AMI message, without its closing blank line. Text after `Response: Follows` (AMI 1.1) and the
    `Output` headers of a Command (AMI 2 and later) end up alike, under `Output`."""
    message: Message = {}
    lines = block.split("\n")
    for number, line in enumerate(lines):
        key, colon, value = line.partition(":")
        if not colon or (message.get("Response") == "Follows" and key not in ("Privilege", "ActionID")):
            output = [text for text in lines[number:] if text.strip() != "--END COMMAND--"]
            message["Output"] = "\n".join(output)
            break
        value = value.removeprefix(" ")
        message[key] = f"{message[key]}\n{value}" if key in message else value
    return message


def render_action(action: str, headers: dict[str, str]) -> str:
    """An AMI action as it goes over the wire. Raises ValueError for a value with a line break."""
    lines = [f"Action: {action}", *(f"{key}: {value}" for key, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("an AMI header cannot hold a line break")
    return "\r\n".join(lines) + "\r\n\r\n"


class MessageSplitter:
    """Cuts AMI's byte stream into messages. Holds only what has not ended yet."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._rest = ""
        self._greeted = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. The first is Asterisk's greeting, as {"Greeting": …}; what came before
        it is left out."""
        text = self._held + self._decoder.decode(data)
        self._held = "\r" if text.endswith("\r") else ""
        self._rest += text.removesuffix("\r").replace("\r\n", "\n")
        messages: list[Message] = []
        if not self._greeted:
            _, greeting, after = self._rest.partition("Asterisk Call Manager/")
            if not greeting or "\n" not in after:
                return []
            version, self._rest = after.split("\n", 1)
            messages.append({"Greeting": version})
            self._greeted = True
        while (block := self._block()) is not None:
            if block.strip():
                messages.append(parse_message(block))
        return messages

    def _block(self) -> str | None:
        """The next message, or None if it has not ended. In AMI 1.1 a Command's output may hold blank lines. Between
        messages there may be more blank lines than one: in Asterisk 22 the TestEvent after each NOTIFY ends with two
        (SUBSCRIPTION_STATE_SET of res_pjsip_pubsub)."""
        self._rest = self._rest.lstrip("\n")
        end = "--END COMMAND--\n\n" if self._rest.startswith("Response: Follows") else "\n\n"
        block, separator, rest = self._rest.partition(end)
        if not separator:
            return None
        self._rest = rest
        return block
