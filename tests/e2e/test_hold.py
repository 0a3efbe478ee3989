"""What nodes make of a call that is held, or sent on at once, judged: runs of scenarios on labs of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

SCENARIO = """
title: Hold, resume, hang up
lab:
  nodes: 2
  phones:
    - {name: alice, node: n1, extension: "101"}
    - {name: bob, node: n1, extension: "102"}
    - {name: carol, node: n2, extension: "103"}
steps:
  - register: [alice, bob, carol]
  - call: {caller: alice, callee: bob}
  - answer: bob
  - hold: alice
  - wait_for: {extension: "102", state: Hold}
  - wait_for: {extension: "101", state: InUse}
  - settle
  - resume: alice
  - wait_for: {extension: "102", state: InUse}
  - talk: [alice, bob]
  - hold: bob
  - wait_for: {extension: "101", state: Hold}
  - settle
  - hang_up: bob
  - call: {caller: carol, callee: alice}
  - answer: alice
  - hold: carol
  - settle
  - hang_up: carol
  - settle
"""

SENT_ON_AT_ONCE = """
title: A phone sends a call on before its node has connected it
about: The node sends digits to bob first, once bob has answered.
lab:
  nodes: 2
  phones:
    - {name: alice, node: n1, extension: "101"}
    - {name: bob, node: n1, extension: "102"}
  config:
    n1:
      asterisk/extensions.conf: |
        [lab]
        exten = 9102,1,Answer()
        same = n,Dial(PJSIP/bob,30,D(ww1))
steps:
  - register: bob
  - call: {caller: alice, callee: "9102"}
  - answer: bob
  - transfer: {phone: bob, to: "*600"}
  - hang_up: alice
expect: [calls]
"""

GIVEN_UP = """
title: A caller gives up as its node answers
about: The CANCEL and the answer to the INVITE cross.
lab: {nodes: 1, phones: 1}
steps:
  - repeat:
      times: 30
      steps:
        - call: {caller: alice, callee: "*600"}
        - hang_up: alice
expect: [calls]
"""


def test_a_caller_may_give_up_as_it_is_answered(tmp_path: Path) -> None:
    scenario = tmp_path / "given-up.yaml"
    scenario.write_text(GIVEN_UP)
    result = labctl("run", str(scenario), "--folder", str(tmp_path / "runs"), "-q")
    assert result.code == 0, result.out + result.err


def test_a_call_may_be_sent_on_as_soon_as_it_is_answered(tmp_path: Path) -> None:
    scenario = tmp_path / "sent-on.yaml"
    scenario.write_text(SENT_ON_AT_ONCE)
    result = labctl("run", str(scenario), "--folder", str(tmp_path / "runs"), "-q")
    assert result.code == 0, result.out + result.err


def test_the_phone_that_is_held_says_hold_and_every_check_agrees(tmp_path: Path) -> None:
    scenario = tmp_path / "hold.yaml"
    scenario.write_text(SCENARIO)
    result = labctl("run", str(scenario), "--folder", str(tmp_path / "runs"), "-q")
    assert result.code == 0, result.out + result.err
