"""A hunt on real labs: what it comes upon is known, it goes on where it was ended, and leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl.engine import client as engines
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

CALM_SEED = "11"
"""Its cases are the same each time, so that what is wrong once can be looked for again."""

SEED = str(os.getpid())
"""What chance brings: the test takes all of it."""


def test_without_faults_nothing_is_wrong_and_it_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    words = ("hunt", "--seed", CALM_SEED, "--no-faults", "--hours", "0.01", "-j", "2", "--folder", str(tmp_path))
    first = labctl(*words, "-o", "json")
    assert first.code in (0, 5), first.err + first.out
    numbers = [case["number"] for case in first.data["cases"]]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert len(numbers) >= 2
    second = labctl(*words, "-o", "json")
    assert f"it goes on after case {numbers[-1]}" in second.err
    assert second.code in (0, 5), second.err + second.out
    assert [case["number"] for case in second.data["cases"]][: len(numbers) + 1] == [*numbers, numbers[-1] + 1]
    other = labctl(*words, "--via", "corosync")
    assert (other.code, "is a hunt with other cases" in other.err) == (2, True)
    labs = {part.lab for part in engines.connect().observe().containers}
    assert not [lab for lab in labs if lab.startswith(f"run-hunt-{CALM_SEED}-")]


def test_with_faults_what_is_wrong_has_its_finding_or_is_told_as_new(tmp_path: Path) -> None:
    words = ("hunt", "--seed", SEED, "--hours", "0.01", "--shrink-minutes", "0.1", "--folder", str(tmp_path))
    done = labctl(*words, "-o", "json")
    kinds = {wrong["known"] for case in done.data["cases"] for wrong in case["wrong"]}
    assert done.code == (1 if "" in kinds else 0 if any(case["judged"] for case in done.data["cases"]) else 5), done.err
    assert all((tmp_path / f"hunt-{SEED}" / case["folder"]).is_dir() for case in done.data["cases"])
