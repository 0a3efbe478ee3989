"""What no single step shows of the files that `configure` edits: whether they have what is to be edited by then."""

from __future__ import annotations

from labctl.blueprint import drawing, node_config
from labctl.blueprint.addresses import free_subnet
from labctl.blueprint.secrets import Placeholders
from labctl.configfile.edit import Miss
from labctl.errors import UsageError
from labctl.lab import Lab
from labctl.scenario.draft_course import contested, keeps_going
from labctl.scenario.file_changes import asked
from labctl.scenario.step_form import Draft
from labctl.stack.model import Stack
from labctl.yamlfile.review import Review

TOUCHING = ("configure", "exec", "upgrade")
"""Steps by which a file of a node may become another."""


def check_edits(review: Review, drafts: list[Draft], lab: Lab, stack: Stack) -> None:
    """Note each edit that finds nothing to edit in a file of the lab's, as the steps before have left that.

    What is done side by side, or to a node that is upgraded or runs a command which names the file, is not known.
    """
    in_doubt = contested(drafts, TOUCHING)
    files = _Files(lab, stack)
    for draft in () if keeps_going(review) else drafts:
        node, file = str(draft.values.get("node", "")), str(draft.values.get("file", ""))
        if draft.arguments is None or (draft.branch and draft.branch[0] in in_doubt and draft.verb in TOUCHING):
            return
        if draft.verb == "upgrade":
            files.forget(node)
        elif draft.verb == "exec":
            files.forget_named(node, str(draft.values.get("command", "")))
        elif draft.verb == "configure":
            for miss in files.change(node, file, draft):
                review.say((*draft.path, "configure", "keys", *miss.where), miss.what, miss.fix)


class _Files:
    """The files of nodes as steps change them. Of what is None nobody knows what is in it."""

    def __init__(self, lab: Lab, stack: Stack) -> None:
        self._lab, self._stack = lab, stack
        self._subnet = lab.subnet or free_subnet(lab.name, [])
        self._texts: dict[str, dict[str, str] | None] = {}
        self._unknown: set[tuple[str, str]] = set()

    def forget(self, node: str) -> None:
        """Nobody knows any file of a node any more."""
        self._texts[node] = None

    def forget_named(self, node: str, command: str) -> None:
        """Nobody knows the files any more that a command on a node may change."""
        files = self._of(node) if self._lab.service(node) is None else None
        named = [path for path in files or () if path.rpartition("/")[2] in command]
        self._unknown |= {(node, path) for path in named}

    def change(self, node: str, path: str, draft: Draft) -> tuple[Miss, ...]:
        """Change a file as a step does; each edit that could not be made."""
        files = self._of(node)
        if files is None or (node, path) in self._unknown:
            return ()
        values = node_config.values_of(self._lab, self._lab.node(node), self._subnet)
        extra, whole = asked(draft.values)
        edited = node_config.changed("" if whole else files.get(path, ""), extra, values)
        if not edited.misses:
            files[path] = edited.text
        return edited.misses

    def _of(self, node: str) -> dict[str, str] | None:
        if node not in self._texts:
            try:
                texts, _ = drawing.node_texts(
                    self._lab, self._stack, self._lab.node(node), self._subnet, Placeholders()
                )
            except UsageError:
                return None
            self._texts[node] = texts
        return self._texts[node]
