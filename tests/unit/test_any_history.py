"""Whatever a history holds, it is judged: no event, in no order, and of no node, phone or extension, ends a check."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labctl.asterisk import device_state
from labctl.checks import registry
from labctl.checks.finding import Limits
from labctl.history.events import AMI, BY_ITSELF, Began, Did, Event, Notified, Ring, Said
from labctl.history.lines import KINDS, parse, to_line
from labctl.history.phone_events import NO_OPTIONS, WITHOUT_A_WORD, Unsure
from labctl.history.site_events import Asked

NODES = st.sampled_from(["n1", "n2", "n3", "stranger", ""])
EXTENSIONS = st.sampled_from(["mystate", "101", "102", "*101", "999", ""])
DEVICES = st.sampled_from(["Custom:mystate", "PJSIP/alice", "PJSIP/bob", "SIP/bob", "PJSIP/stranger", ""])
PHONES = st.sampled_from(["alice", "bob", "stranger", ""])
HINTS = st.sampled_from(["Idle", "InUse", "Ringing", "InUse&Ringing", "Hold", "Unavailable", "a word of no version"])
SECONDS = st.floats(0.0, 40.0)
COUNTS = st.integers(0, 3)
PAIRS = st.lists(st.tuples(NODES, NODES), max_size=3).map(tuple)
WORDS = st.sampled_from(
    ["route", "state", BY_ITSELF, "kill n1", "partition n1 | n2,n3", "pause n2", "stop corosync on n1", "cut n1 -> n2"]
)
LINES = st.sampled_from(
    ["Token has not been received in 900 ms", "not scheduled for 1400.3 ms", "CPG mcast failed (6)"]
)


def several(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(of, max_size=3).map(tuple)


def table(values: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = NODES) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, values, max_size=3)


BY_TYPE = {"float": SECONDS, "float | None": st.none() | SECONDS, "int": COUNTS, "bool": st.booleans()}
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("nodes", "absent", "by"), several(NODES)),
    **dict.fromkeys(("phone", "caller", "callee"), PHONES),
    **dict.fromkeys(("extension", "number"), EXTENSIONS),
    **dict.fromkeys(("fault", "call"), st.sampled_from(["a", "b"])),
    **dict.fromkeys(("states", "hints"), table(table(HINTS, EXTENSIONS))),
    **{"node": NODES, "device": DEVICES, "what": WORDS, "text": LINES, "rings": table(several(NODES))},
    **{
        "unasked": PAIRS,
        "uncalled": st.none() | PAIRS,
        "unheard": st.none() | PAIRS,
        **dict.fromkeys(("found", "fresh"), st.none() | st.booleans()),
    },
    **{"answers": several(HINTS), "extensions": several(EXTENSIONS), "source": st.sampled_from([AMI, "labctl"])},
    "copies": table(table(st.tuples(COUNTS, COUNTS), EXTENSIONS)),
    **{"kept": table(st.tuples(COUNTS, COUNTS), EXTENSIONS), "lamps": table(st.tuples(COUNTS, COUNTS), PHONES)},
    **dict.fromkeys(("error", "why", "how"), st.sampled_from(["", "unknown: no", "n1: the connection is lost"])),
    **{
        "members": table(several(NODES)),
        "state": HINTS,
        "causes": table(COUNTS, st.sampled_from(["TimeoutOnRecv", "CallRejected"])),
    },
}
"""What a field of an event may hold, by its name, where its type does not tell."""

OF_KIND: dict[tuple[type[Any], str], st.SearchStrategy[Any]] = {
    (Said, "state"): st.sampled_from([*device_state.ORDER]),
    (Unsure, "may"): several(st.sampled_from([*device_state.ORDER])),
    (Unsure, "why"): st.sampled_from([WITHOUT_A_WORD, NO_OPTIONS, "why"]),
    (Did, "what"): st.sampled_from(["register alice", "ask_state node=n1 extension=101 fresh=True", "settle"]),
    (Notified, "state"): st.sampled_from(["terminated", "early", "confirmed", "a word of no version"]),
    (Ring, "members"): several(NODES),
    (Asked, "what"): st.sampled_from(["route", "state"]),
}


def events_of(kind: type[Any]) -> st.SearchStrategy[Event]:
    """Any event of a kind."""
    values = {}
    for field in fields(kind):
        unnamed = several(WORDS) if str(field.type) == "tuple[str, ...]" else WORDS
        by_type = BY_TYPE.get(str(field.type), BY_NAME.get(field.name, unnamed))
        values[field.name] = OF_KIND.get((kind, field.name), by_type)
    return st.builds(kind, **values)


ANY_EVENT = st.one_of([events_of(kind) for kind in KINDS.values() if kind is not Began])
SITES = st.sampled_from([{}, {"n1": "east", "n2": "east", "n3": "west"}])


@given(st.lists(ANY_EVENT, max_size=20), SITES)
def test_any_history_is_judged(events: list[Event], sites: dict[str, str]) -> None:
    began = Began(
        *(0.0, "s", "lab", "22", ("n1", "n2", "n3")),
        extensions={"mystate": "Custom:mystate", "101": "PJSIP/alice", "102": "PJSIP/bob"},
        homes={"PJSIP/alice": "n1", "PJSIP/bob": "n2"},
        mailboxes={"101": "n1"},
        lamps={"alice": "101"},
        sites=sites,
    )
    text = "".join(to_line(event) + "\n" for event in (began, *events))
    for verdict in registry.judge(parse(text, ""), Limits()):
        assert verdict.outcome in ("passed", "failed", "unknown", "nothing")
        assert bool(verdict.findings) == (verdict.outcome in ("failed", "unknown"))
