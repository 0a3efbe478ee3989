"""A scenario as commands of a shell, for whoever has no labctl: `docker` and what the nodes have themselves. Pure.

What cannot be done so, such as what phones do, has no such form.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.asterisk import dundi
from labctl.faults.fault import EVERY_FAULT
from labctl.faults.model import NODE, Target
from labctl.faults.registry import FAULTS
from labctl.labfile.variables import VARIABLE
from labctl.scenario.step_registry import Step

MODULE = "res_corosync"
"""The cluster module whose commands these are."""

BOOTED = "until_ on {node} asterisk -rx 'core waitfullybooted'"

HELPERS = """\
on() { node=$1; shift; docker exec "$lab-$node" "$@"; }    # it reads nothing: its input may be what comes next here
script_on() { moved | docker exec -i "$lab-$1" sh; }    # NODE: runs what comes in
says() { on "$1" asterisk -rx "core show hint $2" | grep -q "State:$3 "; }    # NODE EXTENSION STATE
ring() { on "$1" corosync-quorumtool -s | grep -Eq "^Nodes: +$2\\$"; }    # NODE MEMBERS
sees() { [ "$(on "$1" asterisk -rx 'corosync show members' | grep -c 'Group: asterisk')" = "$2" ]; }    # NODE MEMBERS
until_() {    # COMMAND...: for a minute at most
    tries=0
    until "$@" > /dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || { echo "in vain: $*" >&2; exit 1; }
        sleep 0.5
    done
}
look() {    # what every node says that runs, once the rings have had time
    sleep 10
    for node in $nodes; do
        on "$node" asterisk -rx 'core show hints' 2> /dev/null | grep -v proof- |
            sed -n "s/^ *\\([^ @]*\\)@.*\\(State:[^ ]*\\).*/$node: \\1 \\2/p"
    done
}"""

PHONES = """\
phone() {    # NODE NAME: one that registers without a password; what its node tells it is kept, and not answered
    on "$1" sed -i "/^auth = $2\\$/d" /etc/asterisk/pjsip.conf
    on "$1" asterisk -rx 'module reload res_pjsip.so' > /dev/null
    docker exec -d "$lab-$1" sh -c "printf '%s\\r\\n' \\
        'REGISTER sip:$1 SIP/2.0' 'Via: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK1' 'Max-Forwards: 70' \\
        'From: <sip:$2@$1>;tag=1' 'To: <sip:$2@$1>' 'Call-ID: 1' 'CSeq: 1 REGISTER' \\
        'Contact: <sip:$2@127.0.0.1:5099>' 'Expires: 600' 'Content-Length: 0' '' |
        socat -t 600 - UDP4:127.0.0.1:5060,sourceport=5099 > /tmp/$2"
    until_ on "$1" grep -aq 'SIP/2.0 200' "/tmp/$2"
}
message() {    # NODE MAILBOX: leaves one of two seconds
    on "$1" asterisk -rx 'module load res_clioriginate.so' > /dev/null
    on "$1" asterisk -rx 'module load app_milliwatt.so' > /dev/null
    on "$1" asterisk -rx "channel originate Local/*$2@lab application Milliwatt" > /dev/null
    sleep 2
    on "$1" asterisk -rx 'channel request hangup all' > /dev/null
    until_ on "$1" sh -c "ls /var/spool/asterisk/voicemail/default/${2%%\\**}/INBOX/msg*.txt"
}
lamp() {    # NODE PHONE: what it was told, in turn; unanswered, each comes again and again
    on "$1" awk '/^Call-ID:/ { id = $2 } /^Voice-Message:/ && !told[id]++ { print $2 }' "/tmp/$2"
}
lit() { lamp "$1" "$2" | tail -n 1 | grep -q '^1/0'; }    # NODE PHONE"""
"""What a finding whose commands are its own may use besides: socat is the phone, in its node."""


@dataclass
class _Doing:
    """The nodes, and the faults that are in force: what undoes each, by its name."""

    target: Target
    undo: dict[str, list[str]] = field(default_factory=dict)

    def run(self, node: str, text: str) -> str:
        """What runs lines of shell in a node."""
        if "\n" not in text and not any(address in text for address in self.target.addresses.values()):
            return f"on {node} sh -c {shlex.quote(text)}"
        return f"script_on {node} <<'END-OF-SCRIPT'\n{text}\nEND-OF-SCRIPT"


def beginning(clusters: Mapping[str, Sequence[str]], *, rings: bool, proof: bool) -> str:
    """What all such commands stand on: functions of the shell, and that the nodes are ready. What made these has one
    of the name `moved`, a filter that puts the nodes' addresses into what names those that the lab would have.

    `clusters`: node -> the nodes of its cluster, of every node that is started. With `proof` a state of each must have
    come to each other one of its cluster.
    """
    booted = [BOOTED.format(node=node) for node in clusters]
    joined = [f"until_ sees {node} {len(nodes)}" for node, nodes in clusters.items() if rings]
    said = [f"on {node} asterisk -rx 'devstate change Custom:proof-{node} INUSE' > /dev/null" for node in clusters]
    crossings = [(node, other) for node, nodes in clusters.items() for other in nodes if other != node]
    heard = [f"until_ says {other} proof-{node} InUse" for node, other in crossings]
    proven = [*said, *heard] if proof else []
    return "\n".join([f"nodes='{' '.join(clusters)}'", HELPERS, "", *booted, *joined, *proven])


def script(target: Target, steps: Sequence[Step]) -> str | None:
    """The steps as commands of a shell, where each has such a form; `$lab-NODE` are the nodes' containers."""
    lines: list[str] = []
    for step, commands in _forms(target, steps):
        if commands is None:
            return None
        lines += [f"# {step}", *commands]
    if steps[-1].verb != "settle":
        lines.append("look")
    return "\n".join(lines)


def without_form(target: Target, steps: Sequence[Step]) -> list[Step]:
    """The steps that have no such form, such as those of phones."""
    return [step for step, commands in _forms(target, steps) if commands is None]


def _forms(target: Target, steps: Sequence[Step]) -> list[tuple[Step, list[str] | None]]:
    """Each step with its commands; None for what has none, and for steps side by side."""
    doing = _Doing(target)
    forms = [(step, _commands(step, doing)) for step in steps]
    return [(step, None if step.branch else commands) for step, commands in forms]


def _commands(step: Step, doing: _Doing) -> list[str] | None:
    if step.verb in FAULTS:
        return _fault(step, doing)
    return _FORMS[step.verb](step.arguments, doing) if step.verb in _FORMS else None


def _set_state(given: Mapping[str, object], _doing: _Doing) -> list[str]:
    command = f"devstate change Custom:{given['device']} {given['state']}"
    return [f"on {given['node']} asterisk -rx {shlex.quote(command)}"]


def _wait_for(given: Mapping[str, object], doing: _Doing) -> list[str] | None:
    nodes = given.get("nodes") or doing.target.nodes
    assert isinstance(nodes, Sequence)
    if given.get("members") is not None:
        return [f"until_ ring {node} {given['members']}" for node in nodes]
    if given.get("extension"):
        return [f"until_ says {node} {given['extension']} {shlex.quote(str(given['state']))}" for node in nodes]
    return None


def _settle(_given: Mapping[str, object], _doing: _Doing) -> list[str]:
    return ["look"]


def _wait(given: Mapping[str, object], _doing: _Doing) -> list[str]:
    return [f"sleep {given['duration']:g}"]


def _cli(given: Mapping[str, object], _doing: _Doing) -> list[str] | None:
    if VARIABLE.search(str(given["command"])):
        return None  # the network that is free decides what an address is
    return [f"on {given['node']} asterisk -rx {shlex.quote(str(given['command']))}"]


def _exec(given: Mapping[str, object], doing: _Doing) -> list[str] | None:
    if VARIABLE.search(str(given["command"])):
        return None
    return [doing.run(str(given["node"]), str(given["command"]))]


def _look_up(given: Mapping[str, object], _doing: _Doing) -> list[str]:
    command = dundi.command(str(given["number"]), dundi.ROUTE)
    return [f"on {given['node']} asterisk -rx {shlex.quote(command)}"]


def _fault(step: Step, doing: _Doing) -> list[str]:
    """What the fault does in each node, and to its container; what undoes it is kept."""
    fault = FAULTS[step.verb].model_validate(step.arguments)
    name = fault.named(doing.undo)
    verbs = {"pause": "unpause", "kill": "start", "stop": "start"}
    containers = fault.touched(doing.target) if fault.action else ()
    doing.undo[name] = [
        *(doing.run(node, text) for node, text in fault.undo_scripts(name, doing.target).items()),
        *(f'docker {verbs[fault.action]} "$lab-{node}" > /dev/null' for node in containers),
    ]
    return [
        *(doing.run(node, text) for node, text in fault.scripts(name, doing.target).items()),
        *(f'docker {fault.action} "$lab-{node}" > /dev/null' for node in containers),
        *([BOOTED.format(node=node) for node in fault.leaving(doing.target)] if fault.waits_for_return else []),
    ]


def _heal(given: Mapping[str, object], doing: _Doing) -> list[str]:
    names = [*doing.undo] if given["fault"] == EVERY_FAULT else [str(given["fault"])]
    return [line for name in names for line in doing.undo.pop(name)]


def _start(given: Mapping[str, object], doing: _Doing) -> list[str]:
    """The container, however it ended; or the daemon by its supervisor."""
    node, service = str(given["node"]), given["service"]
    if service != NODE:
        return [doing.run(node, f"sv up /etc/service/{service}")]
    kept = [name for name in doing.undo if name.endswith(f"-{node}")]
    lines = [line for name in kept for line in doing.undo.pop(name)] or [f'docker start "$lab-{node}" > /dev/null']
    return [*lines, BOOTED.format(node=node)]


_FORMS: Mapping[str, Callable[[Mapping[str, object], _Doing], list[str] | None]] = {
    "set_state": _set_state,
    "wait_for": _wait_for,
    "settle": _settle,
    "wait": _wait,
    "cli": _cli,
    "exec": _exec,
    "look_up": _look_up,
    "heal": _heal,
    "start": _start,
}
