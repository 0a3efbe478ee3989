"""What the nodes of a lab say of each extension: asked at once, waited for, and followed."""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher

from labctl.asterisk import output
from labctl.asterisk.ami import ACTION_TIMEOUT_S
from labctl.asterisk.output import Message
from labctl.cluster.node_links import NodeLinks
from labctl.cluster.views import UNKNOWN, Learned, StateRow
from labctl.errors import LabError
from labctl.timing import Deadline

LAB_CONTEXT = "lab"
"""The dialplan context of every hint that a lab file makes (extensions.conf.j2)."""


class HintStates:
    """The states that hints have on the nodes of a lab."""

    def __init__(self, links: NodeLinks) -> None:
        self._links = links
        self._lab = links.lab

    def states(self, nodes: Collection[str] | None = None, timeout_s: float = ACTION_TIMEOUT_S) -> list[StateRow]:
        """What each node (or each of `nodes`) has told of each extension last, all asked at once; a node that does not
        answer within `timeout_s` seconds, or is not booted, says UNKNOWN.

        That is the state of the hint, which every phone that watches it was told; AMI's ExtensionState works the state
        out anew from the devices, and may know better than any phone.
        """
        deadline = Deadline(timeout_s)
        wanted = [node for node in self._links.connected if nodes is None or node in nodes]
        actions = {node: action for node in wanted if (action := self._ask(node))}
        hints = {node: self._hints(node, action, deadline) for node, action in actions.items()}
        return [
            StateRow(
                extension,
                device,
                {node: hints.get(node, {}).get(extension, UNKNOWN) for node in cluster},
            )
            for extension, device, cluster in self._rows()
        ]

    def _rows(self) -> list[tuple[str, str, list[str]]]:
        """Each extension of the lab, its device, and the nodes that have a hint for it."""

        def names(node: str) -> list[str]:
            return [member.name for member in self._lab.cluster_of(node)]

        channels = self._links.running.channels
        rows = [
            (phone.extension, f"{channels[phone.name]}/{phone.name}", names(phone.node)) for phone in self._lab.phones
        ]
        clusters = {node.site: names(node.name) for node in self._lab.nodes}
        devices = [(device, f"Custom:{device}") for device in self._lab.devices]
        own = [(hint.extension, hint.device) for hint in self._lab.hints]
        return rows + [(*row, cluster) for row in [*devices, *own] for cluster in clusters.values()]

    def _ask(self, node: str) -> str | None:
        """Send the question to a node; the id of the action, None where nobody is there to answer."""
        try:
            connection = self._links.connection(node)
            if not connection.booted or connection.ended:
                return None
            return connection.send("Command", Command=output.HINTS_COMMAND)
        except LabError:
            return None

    def _hints(self, node: str, action: str, deadline: Deadline) -> dict[str, str]:
        """What the node has told last of each extension; nothing where it does not answer."""
        try:
            text = self._links.connection(node).answer(action, deadline.left_s).get("Output", "")
        except LabError:
            return {}
        return {hint.extension: hint.state for hint in output.parse_hints(text) if hint.context == LAB_CONTEXT}

    def wait_for(self, extension: str, state: str, deadline: Deadline, nodes: Collection[str] | None = None) -> None:
        """Return when every node (or each of `nodes`) says `state` of the extension.

        Raises NotReady at the deadline.
        """
        states: dict[str, str] = {}

        def reached() -> bool:
            nonlocal states
            rows = [row.states for row in self.states(nodes) if row.extension == extension]
            states = {node: text for row in rows for node, text in row.items() if nodes is None or node in nodes}
            return set(states.values()) == {state}

        if not self._links.events.wait_until(reached, deadline):
            missing = {node: [f"says {text}"] for node, text in states.items() if text != state}
            raise self._links.not_ready(f"{extension} is not {state} after {deadline.timeout_s:g} s", missing)

    def follow(self, extension: str) -> list[tuple[str, float, str]]:
        """A list to which every change of the extension is added from now on: node, monotonic seconds, state."""
        history: list[tuple[str, float, str]] = []

        def listen(node: str, at_s: float, message: Message) -> None:
            event = (message.get("Event"), message.get("Context"), message.get("Exten"))
            if event == ("ExtensionStatus", LAB_CONTEXT, extension):
                history.append((node, at_s, output.extension_state(message["Status"])))

        self._links.listen(listen)
        return history


def learned(history: list[tuple[str, float, str]]) -> tuple[Learned, ...]:
    """When each node learned each state, counted from the first to report it.

    The node that has said most is the measure: what another has said is laid beside it so that the states fit, for a
    node may not have heard of all.
    """
    by_node: dict[str, list[tuple[float, str]]] = {}
    for node, at_s, state in sorted(history, key=lambda change: change[1]):
        by_node.setdefault(node, []).append((at_s, state))
    longest = max(by_node.values(), key=len, default=[])
    turns: list[list[tuple[float, str, str]]] = [[] for _ in longest]
    for node, changes in by_node.items():
        matcher = SequenceMatcher(None, _states(longest), _states(changes), autojunk=False)
        blocks = matcher.get_matching_blocks()
        fits = {block.b + offset: block.a + offset for block in blocks for offset in range(block.size)}
        for number, (at_s, state) in enumerate(changes):
            if number in fits:
                turns[fits[number]].append((at_s, node, state))
            else:
                turns.append([(at_s, node, state)])
    return tuple(
        Learned(state, node, round((at_s - min(turn)[0]) * 1000, 2), number)
        for number, turn in enumerate(sorted(turns, key=min), start=1)
        for at_s, node, state in sorted(turn)
    )


def _states(changes: list[tuple[float, str]]) -> list[str]:
    return [state for _, state in changes]
