"""Whom `labctl call` is to call: a phone by its name or number, or any number."""

from __future__ import annotations

import pytest

from labctl.errors import UsageError
from labctl.scenario.test_call import CallRequest, _parties
from tests.unit.labs import lab

LAB = lab("name: lab\nnodes: 3\nphones: 3\ndevices: [mystate]\n")


@pytest.mark.parametrize(
    ("callee", "name", "number", "followed", "home"),
    [
        ("bob", "bob", "102", "102", "n2"),
        ("102", "bob", "102", "102", "n2"),
        ("*600", None, "*600", "101", "n1"),
        ("*101", None, "*101", "101", "n1"),
        ("999", None, "999", "101", "n1"),
        ("+49301234", None, "+49301234", "101", "n1"),
        ("mystate", None, "mystate", "101", "n1"),
    ],
)
def test_a_callee_is_a_phone_or_any_number(
    callee: str, name: str | None, number: str, followed: str, home: str
) -> None:
    parties = _parties(CallRequest("alice", callee, 1.0), LAB)
    called = parties.callee.name if parties.callee else None
    assert (called, parties.number, parties.followed, parties.home) == (name, number, followed, home)


@pytest.mark.parametrize(
    ("caller", "callee", "message", "hint"),
    [
        ("alize", "bob", "no phone `alize`", "alice"),
        ("*600", "bob", "no phone `*600`", "known here"),
        ("alice", "bobb", "no phone `bobb`", "bob"),
        ("alice", "bobb", "no phone `bobb`", "any number, such as *600"),
        ("alice", "101", "alice cannot call 101: it is one phone", "name two"),
        ("alice", "", "no phone ``", "any number"),
        ("alice", "sip:102@n2", "no phone `sip:102@n2`", "any number"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_would_do(caller: str, callee: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        _parties(CallRequest(caller, callee, 1.0), LAB)
    assert message in refused.value.message
    assert hint in refused.value.hint
