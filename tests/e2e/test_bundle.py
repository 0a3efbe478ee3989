"""A run that failed, as one file, and run again from it on real nodes: as a person gets it who never saw the lab."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import RUN, Result, labctl
from tests.unit.bundles import contents, sealed, zipped

pytestmark = pytest.mark.docker

TIMES = 5


def replay(bundle: Path, folder: Path, *more: str) -> Result:
    how = ("--yes", "-q", "-o", "json", "--folder", str(folder), "-n", f"replay-{RUN}")
    return labctl("replay", str(bundle), *how, *more)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run of partition-heal, which is known to fail."""
    folder = tmp_path_factory.mktemp("reported")
    ran = labctl("run", "partition-heal", "--folder", str(folder), "-q", "-n", f"reported-{RUN}")
    assert ran.code == 0, ran.err
    packed = labctl("bundle", str(folder / "latest"), "-o", str(folder / "bug.labz"))
    assert packed.code == 0, packed.err
    return folder / "bug.labz"


def test_a_known_failure_is_reproduced_five_times_of_five(bundle: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = replay(bundle, tmp_path, "--times", str(TIMES), "--junit", str(report))
    seconds = [round(result["seconds"], 1) for result in done.data["results"]]
    sys.stdout.write(f"\nreplays of partition-heal took {seconds} s\n")
    assert done.data["sentence"] == f"reproduced in {TIMES} of {TIMES}: agreement is broken as in the report", done.err
    assert done.code == 0
    assert done.data["reproduced"] == TIMES
    assert report.read_text("utf-8").count("<testsuite ") == TIMES
    folders = {Path(result["folder"]) for result in done.data["results"]}
    assert len(folders) == TIMES
    assert all((folder / "history.jsonl").exists() for folder in folders)


def test_a_scenario_that_breaks_nothing_does_not_reproduce_it(bundle: Path, tmp_path: Path) -> None:
    manifest, files = contents(bundle.read_bytes())
    scenario = yaml.safe_load(files["scenario.yaml"])
    scenario["steps"] = [step for step in scenario["steps"] if step == "settle" or not {*step} & {"partition", "heal"}]
    files["scenario.yaml"] = yaml.safe_dump(scenario).encode()
    whole = tmp_path / "whole.labz"
    whole.write_bytes(zipped(files, sealed(manifest, files)))
    done = replay(whole, tmp_path)
    assert done.code == 1, done.out + done.err
    assert done.data["sentence"].startswith("not reproduced: 1 of 1 passed; in the report agreement is broken")


def test_another_extension_is_another_failure(bundle: Path, tmp_path: Path) -> None:
    manifest, files = contents(bundle.read_bytes())
    verdict: dict[str, Any] = json.loads(files["verdict.json"])
    for judged in verdict["judged"]:
        for finding in judged["verdict"]["findings"]:
            finding["extension"] = "101"
    files["verdict.json"] = json.dumps(verdict).encode()
    other = tmp_path / "other.labz"
    other.write_bytes(zipped(files, sealed(manifest, files)))
    done = replay(other, tmp_path)
    assert done.code == 1, done.out + done.err
    assert done.data["sentence"].startswith("another failure in 1 of 1: agreement: ")
