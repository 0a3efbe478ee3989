"""Steps in their order: what makes no sense after those before is refused, and nothing that a run may do rightly."""

from __future__ import annotations

import re

import pytest

from labctl.errors import InvalidFile
from labctl.lab import Overrides
from labctl.scenario import reader
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import parse

LAB = """
nodes: 3
phones:
  - {name: alice, node: n1, also: [n2], extension: 101}
  - {name: bob, node: n2, extension: 102}
services: {db: {image: my/db}}
"""


def check(steps: str, head: str = "") -> None:
    """Read a scenario on that lab."""
    text = f"title: T\nlab: three\n{head}\nsteps:\n" + "".join(f"  - {line}\n" for line in steps.splitlines())
    reader.read(text, "order.yaml", lambda _: parse(LAB, "three"), find_stack, Overrides())


@pytest.mark.parametrize(
    "steps",
    [
        "register: {phones: alice, node: n2}\nwatch: {phone: alice, extension: 102}\nhang_up: alice",
        "register: {phones: alice, failover: yes}\nunregister: alice\ncall: {caller: alice, callee: bob}",
        'upgrade: {node: n1, stack: "22"}\nstart: n1\nregister: alice',
    ],
)
def test_a_phone_turns_to_another_node_while_its_own_is_not_started(steps: str) -> None:
    check(steps, "without: [n1]")


@pytest.mark.parametrize(
    ("steps", "without", "said"),
    [
        ("register: alice", "n1", "alice is a phone of n1, which is not started by now"),
        ("register: {phones: alice, node: n2}", "n2", "n2 is not started by now"),
        ("register: {phones: alice, failover: yes}", "n1, n2", "alice is a phone of n1, which is not started by now"),
        ("register: {phones: alice, failover: yes}\nunregister: alice\nregister: alice", "n1", "7: alice is a phone"),
    ],
)
def test_a_phone_turns_to_no_node_that_is_not_started(steps: str, without: str, said: str) -> None:
    with pytest.raises(InvalidFile, match=said) as refused:
        check(steps, f"without: [{without}]")
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    "steps",
    [
        "kill: n1\nstart: n1\nkill: n1",
        "kill: n1\nheal: kill-n1\nkill: n1",
        "kill: n1\nheal\nkill: n1",
        "kill: {node: n1, service: asterisk}\nkill: {node: n1, service: asterisk}\nkill: n1",
        "kill: {node: n1, service: asterisk}\nrestart: {node: n1, service: asterisk}",
        "kill: db\nstart: db\nkill: db\npartition: [[n1, n2], [n3, db]]",
        "stop: {node: n1, service: corosync}\nkill: n1",
        'parallel: [[{kill: n1}, {start: n1}], [{kill: n2}, {start: n2}]]\nkill: n1\nupgrade: {node: n2, stack: "22"}',
        "kill: n1\nparallel: [[{start: n1}], [{wait: 1}, {kill: n1}]]\nkill: n1",
        "impair: {node: n1, loss: 5}\nimpair: {node: n2, loss: 5}\nheal\nimpair: {node: n1, loss: 5}",
        "for: {node: all, steps: [{kill: '${node}'}, {start: '${node}'}]}",
        "for: {phone: all, steps: [{register: {phones: '${phone}', failover: yes}}]}",
        "register: alice\nvanish: alice\nregister: alice",
        "register: alice\nparallel: [[{unregister: alice}], [{wait: 1}, {register: alice}]]\nregister: alice",
        "repeat: {times: 3, steps: [{register: alice}, {unregister: alice}]}",
        "configure: {node: n1, file: asterisk/queues.conf, text: '[a]'}\n"
        "configure: {node: n1, file: asterisk/queues.conf, keys: {a: {b: c}}}",
        "exec: {node: n1, command: 'echo [a] >> /etc/asterisk/pjsip.conf'}\n"
        "configure: {node: n1, file: asterisk/pjsip.conf, keys: {a: {b: c}}}",
        'upgrade: {node: n1, stack: "22"}\nconfigure: {node: n1, file: asterisk/pjsip.conf, keys: {a: {b: c}}}',
        "kill: n1\nconfigure: {node: n1, file: asterisk/queues.conf, text: '[a]'}",
    ],
)
def test_what_a_run_may_do_rightly_is_taken(steps: str) -> None:
    check(steps)


@pytest.mark.parametrize("steps", ["kill: n1\nkill: n1", "register: alice\nregister: alice"])
def test_after_a_step_that_may_have_failed_nobody_knows(steps: str) -> None:
    with pytest.raises(InvalidFile, match=re.escape("by now") + "|registered already"):
        check(steps)
    check(steps, "keep_going: yes")
