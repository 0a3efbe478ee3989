"""What SIPp is told: its scenarios, its command lines, and what makes it go on. Pure.

One SIPp process is one user agent on a port of its own. It is told to hang up, to unsubscribe or to
unregister by an INFO of ours (`nudge`), which its scenario waits for beside what the node sends.
"""

from __future__ import annotations

import base64
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from labctl.templating import environment

LONGEST_MS = 3_600_000
RECEIVE_TIMEOUT_MS = 5000
"""How long a scenario waits for an answer where it says nothing else: longer than four retransmissions."""

RINGING_TIMEOUT_MS = 60_000
LAST_NOTIFY_MS = 500

AGAIN_MS = 32_000
"""How long a request may come again whose answer was lost: 64 times T1 (RFC 3261, 17.2.2)."""

LEAVE_MS = 5000
"""How long a phone waits for an answer to its good-bye: three retransmissions, as a busy machine wants them. The step
`hang_up`, which knows which nodes are gone, ends it sooner."""

HOLD, RESUME, REJECT, FORWARD = "sendonly", "sendrecv", "reject", "forward"
REFER, TONES, INFO = "refer", "tones", "info"
"""What `nudge` can ask for: a direction of audio to offer; to refuse the call that rings, or send it elsewhere; to ask
the node to connect the other end with somebody else (RFC 3515); digits as events of RTP (RFC 4733), or one by INFO."""

REFER_TO, DIGITS = "Refer-To", "X-Digits"
"""The headers of an order that say where to, and which digits."""

FAILURES = (
    *(300, 301, 302, 305, 380, 400, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415, 416, 420, 421, 423),
    *(480, 481, 482, 483, 484, 485, 486, 487, 488, 491, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606),
)
"""Every way to refuse a call (RFC 3261, 21.3 to 21.6), but 401: that asks who calls, and may come again."""

_WORDS = {
    **{"hold": HOLD, "resume": RESUME, "reject": REJECT, "forward": FORWARD, "refer": REFER},
    **{"tones": TONES, "info": INFO, "refer_to": REFER_TO, "digits": DIGITS, "failures": FAILURES},
}


@dataclass(frozen=True)
class Agent:
    """A user agent: whose phone, where its node, or the server in front of that, and itself are, and the ports that
    nobody else there has.

    `shown` is the address that its messages tell, SIPp's word for its own by default. `token` is random: its Call-IDs,
    tags and branches are unique over time (RFC 3261, 8.1.1.4). A node remembers a dialog for 32 s after it has ended,
    and refuses another of the same Call-ID.
    """

    name: str
    password: str
    node_address: str
    address: str
    port: int
    media: range
    audio: str
    shown: str = "[local_ip]"
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def call_id(self) -> str:
        """The Call-ID of what it begins itself."""
        return f"{self.name}-{self.token}@{self.address}"


@dataclass(frozen=True)
class SippScenario:
    """A SIPp scenario, as XML."""

    name: str
    text: str


def register(agent: Agent, expires_s: int) -> SippScenario:
    """Register, and again at half time; after a nudge take the registration back, and end."""
    return _render("register", agent, expires_s=expires_s)


def line(agent: Agent, ring_ms: int, answers_options: bool = True) -> SippScenario:
    """Take calls: ring for `ring_ms` or until a nudge, answer, talk until BYE or a nudge. Acknowledge NOTIFY, and
    OPTIONS unless it is not to answer these."""
    times = {"ring_ms": max(1, ring_ms), "longest_ms": LONGEST_MS, "again_ms": AGAIN_MS}
    return _render("line", agent, answers_options=answers_options, **times)


def storm(agent: Agent, expires_s: int, port: int) -> SippScenario:
    """Register once, to be reached at that port."""
    return _render("storm", agent, expires_s=expires_s, port=port)


def call(agent: Agent, extension: str, talk_ms: int, ring_ms: int = RINGING_TIMEOUT_MS) -> SippScenario:
    """Call the extension, let it ring for `ring_ms`, talk for `talk_ms` or until a nudge, hang up.

    A nudge before the answer cancels. A call that is refused has failed, and ends at once.
    """
    return _render("call", agent, extension=extension, talk_ms=talk_ms, longest_ms=ring_ms)


DIALOGS, MESSAGES = ("dialog", "application/dialog-info+xml"), ("message-summary", "application/simple-message-summary")
"""Packages of events (RFC 4235, RFC 3842): what is told of an extension, and of a mailbox."""


def watch(agent: Agent, extension: str, expires_s: int, package: tuple[str, str] = DIALOGS) -> SippScenario:
    """Subscribe to the dialogs of the extension, or to its messages; unsubscribe after a nudge."""
    event, accept = package
    return _render(
        "watch",
        agent,
        extension=extension,
        expires_s=expires_s,
        watch_ms=expires_s * 1000,
        last_ms=LAST_NOTIFY_MS,
        event=event,
        accept=accept,
    )


def _render(name: str, agent: Agent, **values: object) -> SippScenario:
    """What goes in has been checked by labctl.labfile's parser."""
    template = environment().get_template(f"sipp/{name}.xml.j2")
    return SippScenario(name, template.render(agent=agent, leave_ms=LEAVE_MS, words=_WORDS, **values))


_PASSES_OVER = ("-default_behaviors", "all,-abortunexp")
"""What nobody waits for ends no call, as it ends none of a phone. SIPp takes what comes between a message and its own
next one for unexpected, too: the second challenge to a request that was sent again, where both come at once."""


def command(agent: Agent, paths: tuple[str, ...], once: bool) -> list[str]:
    """SIPp with one scenario that begins, and perhaps a second one for the calls that come in.

    `-aa` answers NOTIFY at any time with 200. `once` ends it after the first call.
    `-r 1000` starts that call 1 ms after SIPp, instead of 100.
    """
    receive = ["-rxsf", paths[1]] if len(paths) > 1 else []
    return [
        *["sipp", f"{agent.node_address}:5060", "-sf", paths[0], *receive],
        *["-i", agent.address, "-p", str(agent.port)],
        *["-min_rtp_port", str(agent.media.start), "-max_rtp_port", str(agent.media.stop - 1)],
        *["-cid_str", agent.call_id, "-r", "1000", "-l", "1", *(["-m", "1"] if once else [])],
        *["-recv_timeout", str(RECEIVE_TIMEOUT_MS), "-aa", *_PASSES_OVER, "-nostdin", "-trace_msg"],
    ]


def load_command(agent: Agent, path: str, rate: float, count: int) -> list[str]:
    """SIPp with `count` calls of a scenario at `rate` a second. It tells its counters some 50 times, and no message.

    It begins each call when it is due, however many go on (`-l`).
    """
    every_ms = min(max(round(1000 * count / rate / 50), 20), 1000)
    return [
        *["sipp", f"{agent.node_address}:5060", "-sf", path, "-i", agent.address, "-p", str(agent.port)],
        *["-mp", str(agent.media.start), "-cid_str", f"{agent.name}-{agent.token}-%u@{agent.address}"],
        *["-r", f"{rate:g}", "-m", str(count), "-l", str(count)],
        *["-recv_timeout", str(RECEIVE_TIMEOUT_MS), "-aa", *_PASSES_OVER, "-nostdin"],
        *["-trace_stat", "-stf", "/dev/fd/3", "-fd", f"{every_ms}ms"],
    ]


def nudge(
    agent: Agent, call_id: str, number: int, order: str = "", headers: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The order to scripts/run-sipp.sh to send the agent an INFO in that call: it goes on, or does what `order` says.

    `headers` say what the order needs besides, such as REFER_TO. Without a `number` of its own SIPp takes it for a
    retransmission of the one before.
    """
    lines = [
        f"INFO sip:{agent.name}@{agent.address}:{agent.port} SIP/2.0",
        f"Via: SIP/2.0/UDP {agent.address}:9;branch=z9hG4bK-nudge-{number}",
        "From: <sip:labctl@localhost>;tag=labctl",
        f"To: <sip:{agent.name}@{agent.address}>",
        f"Call-ID: {call_id}",
        f"CSeq: {number} INFO",
        f"Subject: {order or 'go on'}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Content-Length: 0",
    ]
    text = base64.b64encode(("\r\n".join(lines) + "\r\n\r\n").encode()).decode()
    return f"send {agent.address} {agent.port} {text}\n"


def tone(hertz: int = 440, seconds: int = 1) -> str:
    """A tone as raw G.711 µ-law, 8000 samples a second, to be played again and again.

    It swings below zero only: such samples are the bytes below 0x80 (ITU-T G.711, table 2b), and so text.
    """
    samples = (4000 * (math.sin(2 * math.pi * hertz * time / 8000) - 1) for time in range(8000 * seconds))
    return "".join(chr(_ulaw(round(-sample))) for sample in samples)


def _ulaw(below_zero: int) -> int:
    """The µ-law byte of a negative sample, by its 16-bit magnitude."""
    magnitude = min(below_zero, 32635) + 132
    segment = magnitude.bit_length() - 8
    return 0x7F ^ (segment << 4 | (magnitude >> (segment + 3)) & 0x0F)
