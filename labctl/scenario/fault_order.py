"""What no single step shows of faults: whether one is in force, holds what another touches, or has ended a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labctl.errors import HostError, UsageError
from labctl.faults.fault import EVERY_FAULT, Fault
from labctl.faults.model import NODE, PreparedFault, Target
from labctl.faults.registry import FAULTS
from labctl.lab import Lab
from labctl.scenario.draft_course import contested, course, keeps_going
from labctl.scenario.step_form import Draft
from labctl.yamlfile.document import shown, suggestion
from labctl.yamlfile.review import Review

ABLE = frozenset({"iptables", "statistic", "netem", "tbf"})


@dataclass(frozen=True)
class _Begun:
    """A fault since a line. `prepared` is None where it is not known what it comes to; `sure` is one that surely was
    put in force before what comes now."""

    line: int
    prepared: PreparedFault | None
    sure: bool


class Faults:
    """The faults of a scenario, step by step. `lab` is None where it has mistakes."""

    def __init__(self, review: Review, drafts: list[Draft], lab: Lab | None) -> None:
        self._review, self._drafts = review, drafts
        self._in_doubt = contested(drafts, (*FAULTS, "heal", "start", "upgrade"))
        self._keeps_going = keeps_going(review)
        self._target = _target(lab) if lab else None
        self._begun: dict[str, _Begun] = {}

    def check(self) -> None:
        """Note every mistake in their order."""
        for draft in course(self._drafts, (*FAULTS, "heal", "start"), ("upgrade", "configure")):
            if draft.verb in FAULTS:
                self._begin(draft)
            elif draft.verb == "heal":
                self._heal(draft)
            elif draft.verb == "start":
                self._start(draft.values.get("node", ""), draft.values.get("service", NODE))
            elif draft.verb == "upgrade":
                self._check_there(draft, [draft.values["node"]])
            elif draft.values.get("reload"):
                self._check_there(draft, [draft.values["node"]], whole=True)

    def _is_sure(self, draft: Draft) -> bool:
        return not self._keeps_going and not (draft.branch and draft.branch[0] in self._in_doubt)

    def _begin(self, draft: Draft) -> None:
        given, line = draft.values.get("name"), self._review.document.line(draft.path)
        fault = FAULTS[draft.verb].model_validate(draft.values)
        name = fault.named(self._begun)
        if given in self._begun:
            fix = f"since line {self._begun[given].line}: heal that first, or choose another name"
            self._review.say(draft.path, f"the fault `{given}` is in force already", fix)
            return
        prepared = self._prepared(draft, name, fault) if self._target else None
        if prepared and not self._fits(draft, prepared):
            return
        self._begun[name] = _Begun(line, prepared, self._is_sure(draft))

    def _prepared(self, draft: Draft, name: str, fault: Fault) -> PreparedFault | None:
        """What a fault comes to; None where that depends on where the nodes are, and where it is refused."""
        assert self._target
        try:
            return None if fault.needs else fault.prepare(name, self._target)
        except HostError:
            return None
        except UsageError as error:
            line = self._review.document.line(draft.path)
            if all(problem.line != line for problem in self._review.problems):
                self._review.say(draft.path, error.message, error.hint)
            return None

    def _fits(self, draft: Draft, prepared: PreparedFault) -> bool:
        """Whether a fault goes together with those in force; that it does not is noted."""
        if not self._is_sure(draft):
            return True
        if not self._check_there(draft, [*prepared.leaving]):
            return False
        if not self._check_there(draft, prepared.nodes if prepared.action else [*prepared.scripts], whole=True):
            return False
        try:
            prepared.check_free([begun.record for begun in self._sure() if not begun.passes])
        except UsageError as error:
            self._review.say(draft.path, error.message, error.hint)
            return False
        return True

    def _check_there(self, draft: Draft, hosts: Collection[str], *, whole: bool = False) -> bool:
        """Whether each of these is there; or else that it is not is noted. `whole`: its Asterisk may be gone."""
        for name, begun in self._begun.items():
            prepared = begun.prepared
            if not (prepared and begun.sure and self._is_sure(draft)) or prepared.passes:
                continue
            gone = {*(prepared.nodes if prepared.action else ()), *(() if whole else prepared.leaving)}
            for host in (host for host in hosts if host in gone):
                service = f"{{node: {host}, service: {prepared.daemon}}}" if not prepared.action else host
                fix = f"`{name}` is in force since line {begun.line}: `start: {service}` comes first"
                self._review.say(draft.path, f"{host} is gone by now", fix)
                return False
        return True

    def _sure(self) -> Iterator[PreparedFault]:
        return (begun.prepared for begun in self._begun.values() if begun.prepared and begun.sure)

    def _heal(self, draft: Draft) -> None:
        healed = draft.values.get("fault")
        if healed == EVERY_FAULT:
            self._begun.clear()
        elif healed and not self._begun.pop(healed, None):
            known = [EVERY_FAULT, *self._begun]
            self._review.say(draft.path, f"no fault `{shown(healed)}` is in force by now", suggestion(healed, known))

    def _start(self, node: str, service: str) -> None:
        """What was done to a node or daemon is undone."""
        undone = [
            name
            for name, begun in self._begun.items()
            if begun.prepared and begun.prepared.daemon == service and begun.prepared.nodes == (node,)
        ]
        for name in undone:
            del self._begun[name]


def _target(lab: Lab) -> Target:
    """A lab as its faults want it; what their scripts would need of it is not asked for."""
    addresses = {node.name: node.name for node in lab.nodes}
    services = {service.name: service.name for service in lab.services}
    return Target(addresses, lab.rings, lab.follows_corosync, lambda: ABLE, services)


def check_starts(review: Review, drafts: list[Draft], without: Collection[str]) -> None:
    """Note each `start` of what was not ended."""
    ended: set[tuple[str, str]] = {(node, NODE) for node in without}
    waiting = {*ended}
    for draft in course(drafts, ("kill", "stop", "pause", "start", "heal")):
        arguments = draft.values
        target = (arguments.get("node", ""), arguments.get("service", NODE))
        if draft.verb == "heal":
            ended = {*waiting} if arguments["fault"] == EVERY_FAULT else ended
        elif draft.verb != "start":
            ended.add(target)
        elif target not in ended:
            thing = target[0] if target[1] == NODE else f"{target[1]} on {target[0]}"
            review.say(draft.path, f"{shown(thing)} is not killed, stopped or paused by now", "`start` undoes these")
        else:
            ended.remove(target)
            waiting.discard(target)
