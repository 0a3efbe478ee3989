"""The steps in which a node asks other sites: for the way to a number, and for its state there."""

from __future__ import annotations

from typing import Literal

from labctl.asterisk import dundi
from labctl.errors import UsageError
from labctl.history.events import Asked
from labctl.scenario.recorded_step import Ground, a_step


class Inquiry(Ground):
    """Questions by DUNDi, and what was answered."""

    @a_step
    def look_up(self, node: str, number: str, found: bool | None = None) -> tuple[str, ...]:
        """Have a node ask other sites for the way to a phone's extension, or `*` and a mailbox; the dial strings."""
        answers = self._ask(node, number, dundi.ROUTE, fresh=True)
        return self._asked(node, "route", number, [(each, each.destination) for each in answers], found)

    @a_step
    def ask_state(self, node: str, extension: str, found: bool | None = None, fresh: bool = False) -> tuple[str, ...]:
        """Have a node ask other sites for the state of an extension; the words of each node that answers.

        Without `fresh` what is kept of earlier answers may do, as it does for the dialplan.
        """
        answers = self._ask(node, extension, dundi.STATE, fresh=fresh)
        words = [(each, each.word) for each in answers if each.word != dundi.ABSENT]
        return self._asked(node, "state", extension, words, found)

    def _ask(self, node: str, number: str, context: str, *, fresh: bool) -> tuple[dundi.Answer, ...]:
        self.known_node(node)
        if not self.lab.sites:
            raise UsageError("this lab has no sites to be asked", "a lab with `sites:`, such as two-sites")
        return self._cluster.ask(node, number, context, fresh=fresh)

    def _asked(
        self,
        node: str,
        what: Literal["route", "state"],
        number: str,
        told: list[tuple[dundi.Answer, str]],
        found: bool | None,
    ) -> tuple[str, ...]:
        names = {each.entityid: each.name for each in self.lab.nodes}
        by = tuple(names.get(answer.entityid, answer.entityid) for answer, _ in told)
        words = tuple(word for _, word in told)
        self.journal.write(Asked(self.journal.now_s(), node, what, number, words, by, found))
        return words
