"""The configuration of a live lab's nodes changed while it runs, read again by them, and undone at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from labctl.blueprint.drawing import file_of, node_texts
from labctl.blueprint.running_lab import Running
from labctl.blueprint.secrets import Placeholders
from labctl.cluster import changed_files, config_problems
from labctl.cluster.changed_files import Before
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.connections import Cluster
from labctl.configfile.edit import Edited
from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError, UsageError
from labctl.history.events import Line
from labctl.history.journal import Journal
from labctl.lab import ExtraConfig
from labctl.timing import Deadline, pass_time

ALL_OF_ASTERISK, COROSYNC = "asterisk", "corosync"
"""What can be told to read its files again beside the modules of Asterisk."""

COMPLAINTS_S = 0.5
"""How long what a node makes of a file is waited for: Asterisk logs from a thread of its own."""

LOOK_AGAIN_S = 0.1


class NodeFiles:
    """Changes files of nodes, whether these run or not."""

    def __init__(self, engine: Engine, running: Running, cluster: Cluster, journal: Journal) -> None:
        self._engine = engine
        self._running = running
        self._cluster = cluster
        self._journal = journal
        self._nodes: dict[str, None] = {}

    def change(self, node: str, path: str, edit: Callable[[str], Edited], reload: str) -> list[ConfigProblem]:
        """Have `edit` make a file, by its path below /etc, what it is to be, and have it read again; what the node
        complains of, which is in the history too.

        Raises UsageError, and changes nothing, where the edit finds nothing to edit; LabError where it is not read.
        """
        container = self._running.container(node).name  # after an upgrade another has it
        files = changed_files.changed(self._engine, container)
        text = self._engine.find_file(container, f"/etc/{path}")
        edited = edit(text if text and (path in files or self._is_the_labs(node, path)) else "")
        if edited.misses:
            raise UsageError("; ".join(miss.what for miss in edited.misses), edited.misses[0].fix)
        if reload and self._cluster.container_state(node) != "running":
            raise UsageError(f"{node} does not run, and reads {path} when it starts", "leave `reload` out")
        self._nodes[node] = None
        before = files.get(path, Before(text))
        changed_files.keep(self._engine, container, {**files, path: replace(before, reload=reload or before.reload)})
        said = len(self._engine.logs(container))
        self._engine.put_files(container, (file_of(path, edited.text),))
        if not reload:
            return []
        self._reload(node, container, reload)
        problems = self._complaints(node, container, path, edited.text, said)
        for problem in problems:
            self._journal.write(Line(self._journal.now_s(), node, f"{problem.path}: {problem.what}"))
        return problems

    def tell_problems(self, nodes: Iterable[str]) -> None:
        """Write down what nodes complain of in the files that the lab's `config:` changes."""
        for node in nodes if self._running.lab.config else ():
            for problem in self._cluster.config_problems(node):
                self._journal.write(Line(self._journal.now_s(), node, f"{problem.path}: {problem.what}"))

    def _is_the_labs(self, node: str, path: str) -> bool:
        """Whether the lab has a node have such a file; of others the image may have an example, which is nobody's."""
        running = self._running
        subnet = running.observation.networks[0].subnet
        texts, _ = node_texts(running.lab, running.stack, running.lab.node(node), subnet, Placeholders())
        return path in texts

    def _complaints(self, node: str, container: str, path: str, text: str, said: int) -> list[ConfigProblem]:
        """What the node logs of a file after its first `said` characters, and whether anybody read it."""
        lab = replace(self._running.lab, config=(ExtraConfig(node, path, text),))
        deadline = Deadline(COMPLAINTS_S)
        while True:
            log = self._engine.logs(container)[said:]
            problems = config_problems.look(
                lab, node, log, lambda line: self._cluster.connection(node).command(line), {path: text}
            )
            if problems or deadline.passed:
                return problems
            pass_time(LOOK_AGAIN_S)

    # Read again

    def _reload(self, node: str, container: str, what: str) -> None:
        """Have a node read files again; a module of Asterisk that is not there yet is loaded. Raises LabError."""
        if what == COROSYNC:
            self._run(node, container, ["corosync-cfgtool", "-R"])
            return
        if what == ALL_OF_ASTERISK:
            self._run(node, container, ["asterisk", "-rx", "core reload"])
            return
        module = what.removesuffix(".so")
        answer = self._run(node, container, ["asterisk", "-rx", f"module reload {module}.so"])
        if "No such module" in answer:
            answer = self._run(node, container, ["asterisk", "-rx", f"module load {module}.so"])
            if "Unable to load" in answer:
                raise LabError(f"{node}: {' '.join(answer.split())}", f"labctl logs {node} has why")
        elif "does not support reloads" in answer:
            hint = "without `reload`, and a step `restart: {node: …, service: asterisk}` after it"
            raise LabError(f"{node}: {module} does not read its files again", hint)
        elif "reload failure" in answer or "not properly initialized" in answer:
            raise LabError(f"{node}: {' '.join(answer.split())}", f"labctl logs {node} has why")

    def _run(self, node: str, container: str, command: list[str]) -> str:
        output = self._engine.run(container, command)
        if output.code:
            raise LabError(f"{node}: `{' '.join(command)}` ended with {output.code}: {output.text.strip()}")
        return output.text

    # Undone

    def undo(self) -> None:
        """Have every file be what it was before, and read again. Goes on after an error, and raises the first."""
        errors: list[LabctlError] = []
        for node in list(self._nodes):
            try:
                self._undo_on(node)
            except LabctlError as error:
                errors.append(error)
            self._nodes.pop(node)
        if errors:
            raise errors[0]

    def _undo_on(self, node: str) -> None:
        container = self._running.container(node).name
        runs = self._cluster.container_state(node) == "running"
        left: dict[str, Before] = {}
        for path, before in changed_files.changed(self._engine, container).items():
            if before.text is not None:
                self._engine.put_files(container, (file_of(path, before.text),))
            elif runs:
                self._run(node, container, ["rm", "-f", f"/etc/{path}"])
            else:  # nothing can be taken out of a container that does not run
                left[path] = before
            if before.reload and runs:
                with suppress(LabError):  # it need not be read again without the file
                    self._reload(node, container, before.reload)
        changed_files.keep(self._engine, container, left)
