"""A running lab with every step of a scenario as a method of the same name, and a journal of all that happens.

What a step did has happened when it returns; where it does not happen it raises LabError.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from labctl.asterisk import output
from labctl.asterisk.output import EXTENSION_STATES
from labctl.cluster.node_tools import ask_tools, numbered
from labctl.corosync import membership
from labctl.errors import LabError, NotReady, UsageError
from labctl.faults import model
from labctl.history import story
from labctl.history.events import Began, Looked, Over, Said
from labctl.names import container_name
from labctl.scenario.call_steps import Switchboard
from labctl.scenario.fault_steps import Nemesis
from labctl.scenario.recorded_step import a_step
from labctl.scenario.site_steps import Inquiry
from labctl.timing import Deadline

QUIET_S = 1.0
"""A lab is quiet when for so long nothing was said in it; a state crosses in milliseconds."""

RESENT_S = 4.5
"""The same where states go by SIP and something was broken: what was lost is sent again at T2, 4 s, at the latest
(RFC 3261, 17.1.2.2)."""

MAIL = "/var/spool/asterisk/voicemail/default"


class Stage(Switchboard, Inquiry, Nemesis):
    """Use it as a context manager: leaving it heals every fault and switches every phone off."""

    def __enter__(self) -> Stage:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(str(error) if error else "")

    def open(self, scenario: str = "", seed: int | None = None) -> None:
        """Connect to everything, and begin the history. Raises NotReady."""
        self.journal.write(self._beginning(scenario, seed))
        self._cluster.open()
        self._cluster.await_ready(Deadline(60))
        self._listen()
        self._open_phones()

    def close(self, error: str = "") -> None:
        """Undo every fault, hang up, and end the history. Goes on after an error, and raises it at the end."""
        failed: LabError | None = None
        try:
            if self.faults.faults:
                self.heal()
        except LabError as raised:
            failed = raised
        self._lose_calls()
        self._close_phones()
        self.journal.write(Over(self.journal.now_s(), error or (failed.message if failed else "")))
        self._cluster.close()
        self.faults.close()
        if failed:
            raise failed

    def _beginning(self, scenario: str, seed: int | None) -> Began:
        phones = {phone.extension: self._recorder.device(phone.name) for phone in self.lab.phones}
        return Began(
            at_s=self.journal.now_s(),
            scenario=scenario,
            lab=self.lab.name,
            stack=self.stack.name,
            nodes=tuple(node.name for node in self.lab.nodes),
            extensions=phones | {device: f"Custom:{device}" for device in self.lab.devices},
            homes={self._recorder.device(phone.name): phone.node for phone in self.lab.phones},
            mailboxes={mailbox.number: mailbox.node for mailbox in self.lab.mailboxes},
            lamps={phone.name: phone.mailbox for phone in self.lab.phones if phone.mailbox},
            seed=seed,
            sites={node.name: node.site for node in self.lab.nodes if node.site},
            cache_s=self.lab.cache_s,
            via=self.lab.via,
            utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    # Steps

    @a_step
    def set_state(self, node: str, device: str, state: str) -> None:
        """Have a node say a state of a Custom device of the lab, as `devstate change` does."""
        self.known_node(node)
        if device not in self.lab.devices:
            raise UsageError(f"no device `{device}` in this lab", f"its devices: {', '.join(self.lab.devices)}")
        at_s = self.journal.now_s()
        number = self._cluster.set_device(node, f"Custom:{device}", state)
        self._cluster.connection(node).answer(number)
        self.journal.write(Said(at_s, node, f"Custom:{device}", state))

    @a_step
    def clear_voicemail(self, mailbox: str) -> None:
        """Delete every message of a mailbox on the node that keeps it, and have Asterisk notice."""
        keeper = next((each.node for each in self.lab.mailboxes if each.number == mailbox), None)
        if keeper is None:
            raise UsageError(f"no mailbox `{mailbox}` in this lab", "mailboxes: in the lab file")
        script = f"rm -f {MAIL}/{mailbox}/INBOX/* {MAIL}/{mailbox}/Old/*"
        done = self.engine.run(container_name(self.lab.name, keeper), ["sh", "-c", script])
        if done.code:
            raise LabError(f"{keeper}: {done.text.strip()}")
        if self.stack.refreshes_mailboxes:  # else it looks by itself (voicemail.conf, pollfreq)
            self._cluster.connection(keeper).ask("VoicemailRefresh", Context="default", Mailbox=mailbox)

    @a_step
    def wait_for(
        self,
        extension: str = "",
        state: str = "",
        nodes: Sequence[str] = (),
        phone: str = "",
        dialog: str = "",
        lamp: int | None = None,
        members: int | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Wait until nodes (all that answer, or those named) say a state of an extension; or a phone was told of a
        dialog or of that many new messages; or nodes have that many members in their ring. Raises NotReady."""
        deadline = Deadline(timeout)
        where = [self.known_node(node) for node in nodes] or list(self.live)
        if extension and not nodes:
            where = [node for node in where if extension in self.lab.extensions_of(node)]
        if extension:
            self._cluster.await_state(extension, _state(state), deadline, where)
        elif members is not None:
            self._await(lambda: self._rings_short_of(where, members), deadline)
        elif dialog:
            self._await(lambda: self._dialog_short_of(phone, dialog), deadline)
        else:
            self._await(lambda: self._lamp_short_of(phone, lamp or 0), deadline)

    @a_step
    def settle(self, timeout: float = 30.0) -> None:
        """Wait until the rings are what the faults in force leave of them and nothing has been said for a second;
        then look at everything. Raises NotReady at the deadline."""
        deadline = Deadline(timeout)
        self.faults.await_returned()
        self._await(self._rings_amiss, deadline)
        self.faults.note_settled()
        resends = self.faults.disturbed and self.lab.via == "pjsip-publish"
        if not self._await_quiet(RESENT_S if resends else QUIET_S, deadline):
            raise NotReady(f"something is still being said after {timeout:g} s", {}, "the history has what")
        self.look()

    @a_step
    def reset(self) -> None:
        """Have every node say that every Custom device is not in use, and empty every mailbox; then settle."""
        for node in self.live:
            for device in self.lab.devices:
                self.set_state(node, device, "NOT_INUSE")
        for mailbox in [number for number, count in self._kept().items() if sum(count)]:
            self.clear_voicemail(mailbox)
        self.settle()

    def tell(self) -> list[str]:
        """The story so far: what was done, what each node said, when."""
        return story.tell(self.journal.events)

    def container_of(self, node: str) -> str:
        """The name of a node's container. Raises UsageError."""
        return container_name(self.lab.name, self.known_node(node))

    def look(self) -> Looked:
        """All that the nodes and phones say now, as one event of the history."""
        nodes = self.live
        with ThreadPoolExecutor(max_workers=len(nodes) or 1) as pool:
            texts = dict(zip(nodes, pool.map(self._ask_tools, nodes), strict=True))
            rows = self._cluster.states(nodes)
        seen = Looked(
            at_s=self.journal.now_s(),
            states={node: {row.extension: row.states[node] for row in rows if node in row.states} for node in nodes},
            rings={node: self._ring(node, ring) for node, (ring, _, _) in texts.items()},
            members={node: self._members(members) for node, (_, members, _) in texts.items()},
            hints={
                node: {hint.extension: hint.state for hint in output.parse_hints(hints) if hint.context == "lab"}
                for node, (_, _, hints) in texts.items()
            },
            kept=self._kept(),
            lamps=self._lamps(),
        )
        self.journal.write(seen)
        return seen

    # How

    def _ask_tools(self, node: str) -> tuple[str, ...]:
        """What Corosync's tool, the module's list of members and `core show hints` print on a node."""
        container = container_name(self.lab.name, node)
        return ask_tools(self.engine, self.running, container, output.HINTS_COMMAND)

    def _ring(self, node: str, text: str) -> tuple[str, ...]:
        """Who is in a node's ring; where there are none, who hears it by what is in force."""
        if self.lab.rings:
            return self._names(membership.parse_ring(text, self.running.ring_numbers).members)
        return (self.faults.expected_rings(model.SIP) or {}).get(node, (node,))

    def _members(self, text: str) -> tuple[str, ...]:
        numbers = numbered(output.parse_members(text), self.running.ring_numbers)
        return self._names([int(each) for each in numbers])

    def _names(self, ids: Sequence[int]) -> tuple[str, ...]:
        names = {node.nodeid: node.name for node in self.lab.nodes}
        return tuple(names[each] for each in sorted(ids) if each in names)

    def _kept(self) -> dict[str, tuple[int, int]]:
        asked = {
            mailbox.number: (
                mailbox.node,
                self._cluster.connection(mailbox.node).send("MailboxCount", Mailbox=f"{mailbox.number}@default"),
            )
            for mailbox in self.lab.mailboxes
            if mailbox.node in self.live
        }
        answers = {number: self._cluster.connection(node).answer(sent) for number, (node, sent) in asked.items()}
        return {number: (int(each["NewMessages"]), int(each["OldMessages"])) for number, each in answers.items()}

    def _lamps(self) -> dict[str, tuple[int, int]]:
        told = {name: agent.mailbox for name, agent in self._lines.items() if agent.ending is None}
        return {name: (summary.new, summary.old) for name, summary in told.items() if summary}

    def _await(self, lack: Callable[[], str], deadline: Deadline) -> None:
        """Return when nothing lacks any more. Raises NotReady with what still does."""
        if not self._signal.wait_until(lambda: not lack(), deadline):
            raise NotReady(f"{lack()}, after {deadline.timeout_s:g} s", {}, "the history has what was seen")

    def _rings_amiss(self) -> str:
        expected = self.faults.expected_rings(model.TOTEM) if self.lab.rings else None
        if expected is None:  # no rule says what Corosync makes of it; that it is quiet must do
            return ""
        for node in self.live:
            has = self._names(self._cluster.known_ring(node).members)
            if expected[node] and has != expected[node]:
                return f"the ring of {node} is {','.join(has) or 'empty'}, not {','.join(expected[node])}"
        return ""

    def _rings_short_of(self, nodes: Sequence[str], members: int) -> str:
        rings = {node: self._cluster.known_ring(node) for node in nodes}
        wrong = [f"{node} has {len(ring.members)}" for node, ring in rings.items() if len(ring.members) != members]
        return f"not {members} members: {', '.join(wrong)}" if wrong else ""

    def _dialog_short_of(self, phone: str, dialog: str) -> str:
        told = [agent.dialog_states[-1:] for (name, _), agent in self._watchers.items() if name == phone]
        return "" if [dialog] in told else f"{phone} was last told {told}, not {dialog}"

    def _lamp_short_of(self, phone: str, lamp: int) -> str:
        told = self._line(phone).mailbox
        return (
            ""
            if told and told.new == lamp
            else f"{phone} was told of {told.new if told else 'no'} messages, not {lamp}"
        )


def _state(word: str) -> str:
    state = output.state_named(word)
    if state is None:
        raise UsageError(f"no state `{word}`", f"known: {', '.join(EXTENSION_STATES.values())}")
    return state
