"""Every shipped scenario on a real lab, run as a user runs it: the verdict is what the scenario expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from labctl.scenario.loader import shipped_scenarios
from tests.browser import Page, browser, program
from tests.integration.conftest import Result, labctl

ALL_S = 4500.0
"""How long a run of every scenario may take: on two cores that two others keep busy it took 25 minutes."""

pytestmark = [pytest.mark.docker, pytest.mark.timeout(ALL_S + 100)]


def run(scenario: str, folder: Path, *more: str) -> Result:
    words = ("run", scenario, "--folder", str(folder), "-q", "-o", "json", *more)
    return labctl(*words, timeout_s=ALL_S)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a run of every shipped scenario came to: scenario -> its result. One left unknown is run again."""
    folder = tmp_path_factory.mktemp("runs")
    done = run("--all", folder, "--report", str(folder / "report"))
    return {result["scenario"]: result for result in done.data}


@pytest.mark.parametrize("scenario", shipped_scenarios())
def test_shipped_scenario_ends_as_it_says(scenario: str, every: dict[str, dict[str, Any]]) -> None:
    result = every[scenario]
    wrong = [finding["text"] for judged in result["judged"] for finding in judged["verdict"]["findings"]]
    assert result["standing"] in ("passed", "known"), "\n".join([*wrong, *result["story"]])


def test_the_page_of_every_run_opens_in_a_browser(every: dict[str, dict[str, Any]]) -> None:
    if not program():
        pytest.skip("no Chromium is installed")
    runs = [Path(result["folder"]) for result in every.values()]
    folder = runs[0].parent / "report"
    with browser() as chromium:
        tab = Page(chromium)
        for file in (folder / "index.html", *(folder / f"{run.name}.html" for run in runs)):
            assert file.stat().st_size < 3_000_000
            tab.open(file)
            assert tab.complaints == []
            assert tab.requests == [file.resolve().as_uri()]
        for run in runs:
            told = labctl("ladder", str(run), "--all", "-o", "json")
            calls = told.data["calls"] if told.code == 0 else []  # of a run without SIP it says so
            tab.open(folder / f"{run.name}.html")
            assert tab.evaluate("document.querySelectorAll('.call').length") == len(calls)
        tab.open(folder / "index.html")
        links = tab.evaluate("[...document.querySelectorAll('a.run')].map(a => decodeURI(a.pathname))")
        assert sorted(links) == sorted(str(folder / f"{run.name}.html") for run in runs)


def test_partition_heal_names_device_nodes_and_both_values_and_quotes_the_log(tmp_path: Path) -> None:
    done = run("partition-heal", tmp_path, "--strict", "--junit", str(tmp_path / "report.xml"))
    assert done.code == 1, done.err
    agreement = next(judged for judged in done.data[0]["judged"] if judged["verdict"]["check"] == "agreement")
    finding = agreement["verdict"]["findings"][0]
    assert finding["extension"] in ("mystate", "other")
    for word in (finding["extension"], "n1", "n3", "Busy", "Idle"):
        assert word in finding["text"]
    assert any("CPG mcast failed (6)" in quote for quote in finding["quotes"])
    report = ET.parse(tmp_path / "report.xml")  # noqa: S314 - our own
    cases = {case.get("name"): case for case in report.iter("testcase")}
    assert cases["agreement"].find("failure") is not None
    assert done.data[0]["standing"] == "failed"


def test_a_lab_that_does_not_come_up_is_an_error_and_the_others_run_on(tmp_path: Path) -> None:
    """A node whose Corosync cannot read its configuration is never ready, which is said before the time is over."""
    lab = "{follows_corosync: yes, config: {n1: {corosync/corosync.conf: 'totem {'}}}"
    broken = f"title: Never ready\nlab: {lab}\nsteps:\n- settle\n"
    (tmp_path / "broken.yaml").write_text(broken, "utf-8")
    names = (str(tmp_path / "broken.yaml"), "distributed-device-state")
    report = tmp_path / "report.xml"
    how = ("-q", "-o", "json", "--jobs", "1", "--timeout", "60s", "--junit", str(report))
    done = labctl("run", *names, "--folder", str(tmp_path), *how)
    assert [result["standing"] for result in done.data] == ["error", "passed"], done.err
    assert done.code == 1
    assert "its Corosync does not start: /etc/corosync/corosync.conf" in done.data[0]["lab_error"]
    assert (Path(done.data[0]["folder"]) / "n1.log").read_text("utf-8")
    suites = ET.parse(report).getroot()  # noqa: S314 - our own
    assert [(suite.get("errors"), suite.get("failures")) for suite in suites] == [("1", "0"), ("0", "0")]


def test_old_run_is_judged_again_without_a_lab(tmp_path: Path) -> None:
    first = run("distributed-device-state", tmp_path)
    again = labctl("check", str(tmp_path / "latest"), "-o", "json")
    assert again.code == 0, again.err
    assert [judged["standing"] for judged in again.data[0]["judged"]] == [
        judged["standing"] for judged in first.data[0]["judged"]
    ]


def test_history_that_was_changed_is_found_out(tmp_path: Path) -> None:
    """What is wrong as the machine is starved is unknown, so it takes a run whose last look was of a calm moment."""
    codes = [_code_of_a_changed_history(tmp_path)]
    while codes[-1] == 5 and len(codes) < 5:
        codes.append(_code_of_a_changed_history(tmp_path))
    assert codes[-1] == 1, codes


def _code_of_a_changed_history(tmp_path: Path) -> int:
    run("distributed-device-state", tmp_path)
    path = tmp_path / "latest" / "history.jsonl"
    lines = path.read_text("utf-8").splitlines()
    at = max(number for number, line in enumerate(lines) if '"kind":"looked"' in line)
    looked = json.loads(lines[at])
    looked["states"]["n2"]["mystate"] = looked["hints"]["n2"]["mystate"] = "InUse"
    lines[at] = json.dumps(looked)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return labctl("check", str(tmp_path / "latest")).code


def test_run_that_needs_what_this_kernel_lacks_is_unknown_or_passes(tmp_path: Path) -> None:
    (tmp_path / "delay.yaml").write_text(
        "title: A slow link\nsteps:\n- impair: {node: n1, delay: 20ms}\n- settle\n", "utf-8"
    )
    done = run(str(tmp_path / "delay.yaml"), tmp_path)
    assert done.code in (0, 5), done.err
    if done.code == 5:
        assert "no netem" in done.data[0]["error"]
