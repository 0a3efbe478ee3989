"""A lab read back from its own containers, and what flags change of it."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest

from labctl.blueprint import record
from labctl.blueprint.record import LabRecord, Request
from labctl.cluster import lifecycle as verbs
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Observation
from labctl.errors import InvalidFile, UsageError
from labctl.lab import Lab, Overrides
from labctl.labfile import reader, writer
from labctl.names import LABEL_SPEC, ROLE_PHONES
from labctl.patch import Patch
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack
from labctl.yamlfile.document import parse
from tests.unit.labs import draw, lab, stack

TEXT = "name: office\nnodes: [hq, branch]\nphones: 1\n"
OLD = stack().model_copy(update={"name": "old", "transports": ["udpu"], "encrypted_transports": []})
PATCH = Patch("fix.patch", b"--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1 +1 @@\n-a\n+b\n")


class Holding:
    """An engine that holds one lab, whose phones' container has this record."""

    def __init__(self, text: str) -> None:
        self._phones = Container("1", "labctl-office-phones", "office", ROLE_PHONES, "phones", "created", "", spec=text)

    def observe(self, name: str | None = None) -> Observation:
        """What is there of a lab."""
        return Observation(containers=(self._phones,) if name in (None, "office") else ())


def holding(text: str) -> Engine:
    """An engine with a lab of that lab file."""
    labels = [dict(container.labels) for container in draw(text).containers]
    return cast(Engine, Holding(next(label[LABEL_SPEC] for label in labels if LABEL_SPEC in label)))


def as_made(text: str) -> LabRecord:
    """The record of a lab of that lab file, read back from its containers."""
    read_back = verbs.find_record(holding(text), "office")
    assert read_back
    return read_back


def asked(text: str, of_stack: Stack | None = None, **flags: Any) -> LabRecord:
    """The record of a lab that a file and flags asked for, written and read back."""
    document, overrides = parse(text, "lab.yaml"), Overrides(**flags)
    wanted, found_stack = reader.resolve(document, lambda name: of_stack or find_stack(name), overrides)
    request = Request(document.data, replace(overrides, name=None))
    return record.parse(wanted.name, record.dump(wanted, found_stack, request))


def first_version(wanted: Lab, of_stack: Stack) -> dict[str, Any]:
    """What labctl 0.1 put on the phones' container."""
    return {"lab": writer.to_data(wanted), "stack": of_stack.model_dump(mode="json")}


def phones(wanted: Lab) -> list[str]:
    return [phone.name for phone in wanted.phones]


def test_it_is_as_its_file_said() -> None:
    assert (as_made(TEXT).lab, as_made(TEXT).stack) == (lab(TEXT), stack())


def test_a_lab_that_is_not_there_is_none() -> None:
    assert verbs.find_record(holding(TEXT), "other") is None


def test_another_stack_takes_its_own_transport_along_and_leaves_the_rest() -> None:
    there = asked(TEXT + "totem: {token: 3000}\n")
    changed = there.with_flags(Overrides(stack="./old.yaml"), OLD)
    assert (changed.stack, changed.lab.stack, [node.name for node in changed.lab.nodes]) == (
        OLD,
        "./old.yaml",
        ["hq", "branch"],
    )
    totem = changed.lab.totem
    assert (totem.token_ms, totem.transport, totem.encryption) == (3000, "udpu", False)


def test_a_transport_that_was_asked_for_is_kept() -> None:
    able = OLD.model_copy(update={"transports": ["knet", "udpu"]})
    there = asked(TEXT + "totem: {transport: udpu}\n")
    assert there.with_flags(Overrides(stack="able"), able).lab.totem.transport == "udpu"


@pytest.mark.parametrize(("before", "after"), [(5, 3), (3, 5), (1, 4)])
def test_another_number_of_nodes_makes_what_a_fresh_lab_of_that_number_is(before: int, after: int) -> None:
    there = asked("name: office\n", nodes=before)
    changed = there.with_flags(Overrides(nodes=after))
    assert changed.lab == lab("name: office\n", overrides=Overrides(nodes=after))
    assert len(phones(changed.lab)) == after


def test_flags_of_before_stay_where_others_are_changed() -> None:
    there = asked("name: office\n", via="pjsip-publish", nodes=5)
    changed = there.with_flags(Overrides(nodes=2))
    assert (len(changed.lab.nodes), changed.lab.via) == (2, "pjsip-publish")
    again = record.parse("office", record.dump(changed.lab, changed.stack, changed.request))
    assert again.request.flags == Overrides(nodes=2, via="pjsip-publish")


def test_a_file_that_needs_the_nodes_of_before_is_refused_with_what_it_says() -> None:
    there = asked("name: office\nnodes: 5\nphones: [{name: eve, node: n4, extension: 150}]\n")
    with pytest.raises(InvalidFile, match="no node `n4`"):
        there.with_flags(Overrides(nodes=3))


def test_who_watches_whom_stays_as_the_file_said() -> None:
    text = (
        "name: office\nphones:\n- {name: alice, node: n1, extension: 101, watches: []}\n"
        "- {name: bob, node: n2, extension: 102, watches: [alice]}\n- {name: carol, node: n3, extension: 103}\n"
    )
    changed = asked(text).with_flags(Overrides(nodes=4))
    assert [phone.watches for phone in changed.lab.phones] == [(), ("alice",), ("alice", "bob")]


def test_patches_image_and_mirror_stay_with_the_lab_but_not_with_another_stack() -> None:
    there = asked(TEXT)
    request = replace(there.request, image="mine:1", mirror="http://mirror.example", insecure=True, patches=(PATCH,))
    kept = record.parse("office", record.dump(there.lab, there.stack, request))
    assert kept.request == request
    moved = kept.with_flags(Overrides(stack="old"), OLD).request
    assert (moved.image, moved.patches, moved.mirror) == (None, (), "http://mirror.example")


def test_a_patch_too_large_to_be_kept_is_known_by_name() -> None:
    there = asked(TEXT)
    large = Patch("large.patch", bytes(range(256)) * 8)
    text = record.dump(there.lab, there.stack, replace(there.request, patches=(large,)))
    data = json.loads(text)
    del data["asked"]["patches"][0]["content"]
    kept = record.parse("office", json.dumps(data)).request
    assert (kept.patches, [name.split()[0] for name in kept.lost_patches]) == ((), ["large.patch"])


def test_the_record_of_a_patch_is_bounded() -> None:
    noise = Patch("noise.patch", Random(1).randbytes(1 << 20))  # noqa: S311 - chance, not secrets
    there = asked(TEXT)
    text = record.dump(there.lab, there.stack, replace(there.request, patches=(noise,)))
    assert len(text) < 2 * record.PATCH_BYTES


# Labs of other versions of labctl


def test_a_lab_of_the_first_labctl_is_read_and_can_be_changed() -> None:
    wanted = lab(TEXT + "totem: {token: 3000}\nconfig: {hq: {asterisk/rtp.conf: '; x'}}\n")
    there = record.parse("office", json.dumps(first_version(wanted, stack())))
    assert (there.version, there.labctl, there.lab, there.stack) == (1, "0.1", wanted, stack())
    there.refuse_later()
    assert there.with_flags(Overrides(via="pjsip-publish")).lab.via == "pjsip-publish"
    moved = there.with_flags(Overrides(stack="old"), OLD).lab.totem
    assert (moved.token_ms, moved.transport) == (3000, "udpu")


def test_a_lab_of_sites_of_the_first_labctl_is_read() -> None:
    wanted = lab("name: office\nsites: {east: 2, west: 2}\ndundi: {cache: 9}\n")
    text = json.dumps(first_version(wanted, stack()))
    assert record.parse("office", text).lab == wanted
    assert record.glance(text) == ("22", ["east1", "east2", "west1", "west2"])


def later(**changes: Any) -> str:
    """What a later labctl put there: all that is known here, and something more."""
    data = json.loads(record.dump(lab(TEXT), stack(), Request.of(lab(TEXT))))
    data |= {"version": 7, "labctl": "3.1", "novel": 1}
    data["lab"]["novel"] = data["stack"]["novel"] = 1
    return json.dumps(data | changes)


def test_a_lab_of_a_later_labctl_can_be_looked_at_but_not_changed() -> None:
    there = record.parse("office", later())
    assert (there.version, there.lab, there.stack) == (7, lab(TEXT), stack())
    with pytest.raises(UsageError, match=r"cannot be changed by this labctl .* labctl 3\.1 wrote it") as refusal:
        there.refuse_later()
    assert "labctl down --name office" in refusal.value.hint


@pytest.mark.parametrize("text", [later(lab={"name": "office"}), later(asked=None), "{}", "[]", "no JSON", '"x"'])
def test_what_cannot_be_read_is_refused_with_a_way_out_and_listed_all_the_same(text: str) -> None:
    with pytest.raises(UsageError, match="the lab office cannot be read") as refusal:
        verbs.load(cast(Engine, Holding(text)), "office")
    assert "labctl down --name office" in refusal.value.hint
    (row,) = verbs.summaries(cast(Engine, Holding(text)))
    assert row.name == "office"
