"""Findings are held to the shipped scenarios, both ways; reports follow from them; runs confirm them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.checks.finding import Finding as Wrong
from labctl.checks.finding import Outcome, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.checks.known import Known
from labctl.errors import InvalidFile
from labctl.faults.model import Target
from labctl.lab import Overrides
from labctl.labfile.patch_files import shipped_mends
from labctl.paths import images_folder
from labctl.report import findings_markdown, findings_text
from labctl.report.acceptance import Acceptance
from labctl.scenario.findings import hand_commands, reader
from labctl.scenario.findings.by_hand import by_hand, why_none
from labctl.scenario.findings.confirmation import Confirmed, confirm
from labctl.scenario.findings.entries import Mend
from labctl.scenario.findings.interval import runs_to_exclude, wilson
from labctl.scenario.findings.reader import find_finding, known_by, shipped_findings
from labctl.scenario.loader import find_scenario, shipped_scenarios
from labctl.scenario.reader import Scenario
from labctl.scenario.step_registry import Step
from tests.unit.commands import run
from tests.unit.test_completion import offered

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- findings: written by `LABCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_findings.py` -->\n"
END = "## What is proven, and what is not\n"

LEAST = """\
title: What is wrong
symptom: It hurts
happens: It is done, and hurts
should: It should not
today: Wait
shown_by:
  - {scenario: partition-heal, check: agreement}
"""

KNOWN = Known("22", "agreement", "why", always=True, finding="Idle on n3")
SOMETIMES = replace(KNOWN, always=False)


def known_of(name: str) -> tuple[Known, ...]:
    return find_scenario(name, Overrides()).known


# The shipped ones


@pytest.mark.parametrize("name", shipped_findings())
def test_what_shows_a_finding_is_known_of_a_shipped_scenario(name: str) -> None:
    reader.check_shown(*reader.finding_text(name), known_of)


@pytest.mark.parametrize("name", shipped_scenarios())
def test_all_that_is_known_to_fail_belongs_to_one_finding(name: str) -> None:
    findings = [find_finding(finding) for finding in shipped_findings()]
    for known in known_of(name):
        owners = {
            finding.name
            for finding in findings
            for evidence in finding.shown_by
            if evidence.scenario == name and [*known_by(evidence, [known])]
        }
        assert len(owners) == 1, (known, owners)


def test_each_mend_that_is_shipped_is_of_a_finding_which_names_it() -> None:
    named = {finding.mend.patch for name in shipped_findings() if (finding := find_finding(name)).mend}
    assert named == set(shipped_mends())


def test_a_mend_is_told_with_the_command_that_tries_it() -> None:
    finding, command = find_finding("deaf-after-corosync"), "labctl run corosync-crash --patch corosync-crash"
    assert f"Mended: Corosync is asked again and again until it answers\n  {command}\n" in findings_text.whole(finding)
    assert f"\n## A mend\n\nCorosync is asked again and again until it answers: `{command}` (labctl " in (
        findings_markdown.render(finding)
    )


def test_no_two_findings_have_one_title() -> None:
    titles = [find_finding(name).title for name in shipped_findings()]
    assert sorted(set(titles)) == sorted(titles)


def test_the_list_in_readme_is_that_of_the_files() -> None:
    text = README.read_text("utf-8")
    before, rest = text.split(BEGIN)
    listed = findings_markdown.listed([find_finding(name) for name in shipped_findings()])
    wanted = f"{before}{BEGIN}\n{listed}\n{END}{rest.split(END)[1]}"
    if os.environ.get("LABCTL_UPDATE_GOLDEN"):
        README.write_text(wanted, "utf-8")
    assert README.read_text("utf-8") == wanted


@pytest.mark.long
@pytest.mark.parametrize("name", shipped_findings())
def test_each_has_a_report_whole_in_itself(name: str) -> None:
    finding = find_finding(name)
    report = findings_markdown.render(finding)
    assert report.startswith(f"# {finding.title}\n")
    assert f"\n## What happens\n\n{finding.happens.strip()}\n\n## What should happen\n" in report
    for heading in ("Versions", "Steps", "What happens", "What should happen", "Cause", "A way round"):
        assert f"\n## {heading}\n" in report
    assert report.count("```") % 2 == 0


@pytest.mark.parametrize("name", shipped_findings())
def test_what_happens_is_not_what_its_scenario_is_about_nor_what_should(name: str) -> None:
    """A scenario says what it is for, often what is right, and may show several findings."""
    finding = find_finding(name)
    scenario = reader.scenario_of(finding.shown_by[0])
    others = (scenario.about, scenario.title, finding.should, finding.symptom)
    assert " ".join(finding.happens.split()) not in {" ".join(other.split()) for other in others}
    assert len({find_finding(other).happens for other in shipped_findings()}) == len(shipped_findings())


def test_what_went_over_the_wire_is_drawn_where_that_shows_it() -> None:
    finding = find_finding("publish-refresh-too-late")
    drawn = "  4    5.377  +0.002  │◀ 412 Conditional Request Failed │\n"
    report = findings_markdown.render(finding)
    assert drawn in report.split("\n## On the wire\n")[1].split("\n## Cause\n")[0]
    assert drawn in findings_text.whole(finding).split("\nOn the wire:\n")[1]
    assert "## On the wire" not in findings_markdown.render(find_finding("publish-interface-down"))  # nothing went


def test_what_happens_is_told_in_the_report_and_on_the_terminal() -> None:
    finding = find_finding("core-at-full-load")
    told = "Corosync on n2 is killed under a running Asterisk, and its supervisor starts it again."
    assert f"\n## What happens\n\n{told}" in findings_markdown.render(finding)
    assert f"\n\nHow it comes: {told}" in findings_text.whole(finding)


@pytest.mark.long
@pytest.mark.parametrize("name", shipped_findings())
def test_what_is_done_by_hand_is_a_script_of_the_shell(name: str) -> None:
    script = by_hand(find_finding(name))
    if script:
        subprocess.run(["sh", "-n"], input=script.whole, text=True, check=True)
        not_moved = re.sub(r"<<'(END-OF-\w+)'\n.*?\n\1$", "", script.whole, flags=re.DOTALL | re.MULTILINE)
        assert re.findall(r"\b198\.1[89]\.\d+\.\d+\b", not_moved) == []  # its network may be another


@pytest.mark.long
def test_by_hand_another_network_is_taken_where_the_lab_s_is_taken(tmp_path: Path) -> None:
    """`docker` says of the first two networks what it says of one that others have."""
    script = by_hand(find_finding("state-after-heal"))
    assert script
    (tmp_path / "docker").write_text(
        '#!/bin/sh\necho "$*" >> calls\ncase " $* " in\n'
        '*" network create "*17[78].0/24*) echo "Pool overlaps with other one on this address space" >&2; exit 1 ;;\n'
        '*" -i "*) cat >> input ;;\n*" cp "*) tar -xOf - >> input ;;\nesac\n'
    )
    (tmp_path / "docker").chmod(0o755)
    parts = [
        script.nodes,
        hand_commands.HELPERS,
        *re.findall(r"^script_on .*?^END-OF-SCRIPT$", script.done, re.M | re.S),
    ]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-eu"], input="\n".join(parts), text=True, env=environment, cwd=tmp_path, check=True)
    calls, into_nodes = (tmp_path / "calls").read_text(), (tmp_path / "input").read_text()
    assert "network create --internal --subnet 198.18.179.0/24 labctl-state-after-heal" in calls
    assert re.findall(r"--ip (\S+)", calls) == ["198.18.179.11", "198.18.179.12", "198.18.179.13"]
    assert "ring0_addr: 198.18.179.12" in into_nodes
    assert "-s 198.18.179.13 -j DROP" in into_nodes
    assert "198.18.177." not in into_nodes


def test_by_hand_what_else_docker_refuses_is_told(tmp_path: Path) -> None:
    script = by_hand(find_finding("state-after-heal"))
    assert script
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'no engine' >&2; exit 1\n")
    (tmp_path / "docker").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", "-eu"], input=script.nodes, text=True, env=environment, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "no engine\n")


def test_by_hand_a_partition_is_made_and_undone() -> None:
    script = by_hand(find_finding("state-after-heal"))
    assert script
    assert "docker create" in script.nodes
    commands = script.done
    assert "on n1 asterisk -rx 'devstate change Custom:mystate BUSY'" in commands
    assert commands.index("-I INPUT -j labctl-split") < commands.index("iptables $w -X labctl-split")
    assert commands.rstrip().endswith("look")


def test_steps_of_phones_and_old_stacks_have_no_script() -> None:
    assert by_hand(find_finding("ais-rolling-restart")) is None
    assert "1. set_state" in findings_markdown.render(find_finding("ais-rolling-restart"))


OF_AIS = (
    "There is no script of it: those that labctl writes wait for what res_corosync tells, and stack 1.6 has res_ais."
)


@pytest.mark.parametrize("name", shipped_findings())
def test_each_has_a_script_or_says_why_not_and_with_which_stack_it_runs(name: str) -> None:
    finding = find_finding(name)
    script, why = by_hand(finding), why_none(finding)
    assert script or why.startswith(OF_AIS)
    if not script:
        first = finding.shown_by[0]
        steps = findings_markdown.render(finding).split("\n## Steps\n\n")[1]
        assert steps.startswith(f"{why} `labctl run {first.scenario} --stack 1.6` (labctl ")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("last-speaker-wins", ""),
        ("ais-rolling-restart", "register alice,bob,carol"),
        ("late-join-after-a-minute", "storm phone=bob rate=1 count=75"),
    ],
)
def test_a_step_without_a_command_of_the_shell_is_named(name: str, step: str) -> None:
    lacking = f" There is no command of a shell for `{step}`." if step else ""
    assert why_none(find_finding(name)) == f"{OF_AIS}{lacking}"


def test_the_command_has_the_stack_and_the_carrier_where_the_scenario_has_others() -> None:
    old, published, own = map(
        find_finding, ("last-speaker-wins", "publish-hints-of-the-dead", "publish-refresh-too-late")
    )
    assert "\n  labctl run aggregation --stack 1.6: truth on 1.6 by corosync\n" in findings_text.whole(old)
    assert reader.command(published.shown_by[0]) == "labctl run majority-minority --via pjsip-publish"
    assert reader.command(own.shown_by[0]) == "labctl run publish-refresh-too-late"
    mend = Mend(patch="second-leave", what="it is mended")
    assert findings_text.mended_run(old, mend) == "labctl run aggregation --stack 1.6 --patch second-leave"


@pytest.mark.parametrize("verb", ["cli", "exec"])
def test_steps_that_name_addresses_have_no_script(verb: str) -> None:
    target = Target({"n1": "198.18.16.11"})
    steps = [Step(verb, {"node": "n1", "command": f"ping {end}"}) for end in ("${n1.address}", "${HOME}")]
    assert hand_commands.script(target, steps[:1]) is None
    assert "${HOME}" in (hand_commands.script(target, steps[1:]) or "")


def test_commands_of_a_finding_s_own_may_have_phones() -> None:
    with_phones, without = by_hand(find_finding("lamp-of-the-departed")), by_hand(find_finding("boot-before-corosync"))
    assert with_phones
    assert without
    assert with_phones.done.index("phone() {") < with_phones.done.index("\nphone n2 bob")
    assert "phone() {" not in without.done


# A file


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as error:
        reader.check_shown(text, "mine.yaml", known_of)
    return str(error.value).splitlines()


def test_the_least_that_a_file_holds() -> None:
    finding = reader.read(LEAST, "mine.yaml", "mine")
    assert (finding.name, finding.stacks, finding.carriers, finding.mend) == ("mine", ("22",), ("corosync",), None)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("partition-heal", "partition-heel", 7, "no scenario file `partition-heel`"),
        ("check: agreement", "check: truth", 7, "scenario `partition-heal` has no such `known:`"),
        ("check: agreement", "check: agreemint", 7, "`shown_by[0].check`"),
        ("today: Wait\n", "", 1, "`today` is missing"),
        ("happens: It is done, and hurts\n", "", 1, "`happens` is missing"),
        ("today: Wait", "today: Wait\nmeasured: [{seen: 4, of: 3, day: 2026-11-26, what: it}]", 6, "more often seen"),
        ("today: Wait", "today: Wait\nmeasured: [{seen: 1, of: 3, day: monday, what: it}]", 6, "not a day"),
        ("today: Wait", "today: Wait\nrate: 3", 6, "unknown key `rate`"),
        ("today: Wait", "today: Wait\nmend: {patch: second-leaf, what: it}", 6, "no mend `second-leaf`"),
        ("today: Wait", "today: Wait\nreports: [a, a]", 6, "`a` is here twice"),
    ],
)
def test_a_mistake_has_its_line(old: str, new: str, where: int, what: str) -> None:
    assert old in LEAST
    assert any(
        re.match(rf"mine\.yaml:{where}: .*{re.escape(what)}", line) for line in problems(LEAST.replace(old, new))
    )


# How often


@pytest.mark.parametrize(
    ("seen", "of", "low", "high"),
    [(0, 10, 0.0, 0.278), (3, 3, 0.438, 1.0), (10, 10, 0.722, 1.0), (5, 10, 0.237, 0.763)],
)
def test_the_interval_of_wilson(seen: int, of: int, low: float, high: float) -> None:
    assert wilson(seen, of) == pytest.approx((low, high), abs=0.001)


def test_no_runs_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no count of runs"):
        wilson(0, 0)


@pytest.mark.parametrize(("least", "runs"), [(1.0, 1), (0.5, 5), (0.1, 29)])
def test_runs_that_chance_does_not_explain(least: float, runs: int) -> None:
    assert runs_to_exclude(least) == runs


# Still there?


def result(outcome: Outcome, standing: Standing, text: str = "", doubt: str = "") -> Result:
    """A run that came to this of one check."""
    wrong = (Wrong(text, 1.0, doubt=doubt),) if text else ()
    judged = Judged(Verdict("agreement", outcome, wrong), standing)
    return Result("partition-heal", "Partition, change, heal", "22", 1.0, (judged,), folder="runs/1")


THERE = result("failed", "known", "mystate is Idle on n3")
ABSENT = result("passed", "passed")
OTHER = result("failed", "failed", "something else")
STARVED = result("unknown", "unknown", "not judged: the machine was starved", "starved")


def confirmed(*results: Result, known: Known = KNOWN, rate: tuple[int, int] | None = None) -> Confirmed:
    return confirm("mine", "What is wrong", results, [known], rate)


def test_what_is_seen_again_is_still_there() -> None:
    told = confirmed(THERE, ABSENT, THERE, STARVED)
    assert (told.standing, told.seen, told.of, told.unjudged) == ("there", 2, 3, 1)


def test_what_came_each_time_is_gone_after_one_run_without_it() -> None:
    assert confirmed(ABSENT).standing == "gone"


def test_what_could_not_be_judged_is_not_gone() -> None:
    told = confirmed(STARVED)
    assert (told.standing, told.of) == ("not judged", 0)
    assert "starved" in told.why


def test_another_failure_is_no_verdict_on_it_and_is_told() -> None:
    told = confirmed(OTHER)
    assert (told.standing, told.others) == ("not judged", ("agreement",))


def test_what_comes_sometimes_is_gone_when_chance_does_not_explain_that() -> None:
    told = confirmed(ABSENT, known=SOMETIMES, rate=(5, 10))
    assert told.standing == "not judged"
    assert "--repeat 12" in told.why
    assert confirmed(*[ABSENT] * 12, known=SOMETIMES, rate=(5, 10)).standing == "gone"
    assert confirmed(*[ABSENT] * 12, known=SOMETIMES).standing == "not judged"


@pytest.mark.parametrize(
    ("results", "hopeful", "code"),
    [([THERE], False, 0), ([ABSENT], False, 1), ([ABSENT], True, 0), ([STARVED], False, 5), ([OTHER], False, 1)],
)
def test_the_exit_code_is_as_that_of_runs(results: list[Result], hopeful: bool, code: int) -> None:
    told = [*findings_text.standings(confirmed(*results))]
    assert Acceptance(hopeful=hopeful).code(told, results) == code


def test_a_lab_that_could_not_be_made_goes_before_what_was_not_judged() -> None:
    broken = replace(STARVED, judged=(), lab_error="no engine", exit_code=4)
    told = confirmed(broken)
    assert (told.standing, told.why) == ("not judged", "no engine")
    assert Acceptance().code([*findings_text.standings(told)], [broken]) == 4


# The commands


def test_the_list_has_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("findings", "-o", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == shipped_findings()
    assert all(0 <= low <= high <= 1 for row in rows for low, high in (count["interval"] for count in row["measured"]))


def test_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("findings", "show", "second-leave") == 0
    shown = capsys.readouterr().out
    assert "res/res_corosync.c, cpg_confchg_cb" in shown
    assert "labctl run second-leave: no_ghosts on 22 by corosync" in shown


def test_a_finding_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("findings", "show", "second-leaf") == 2
    assert "did you mean `second-leave`?" in capsys.readouterr().err
    assert run("findings", "run", "second-leaf") == 2


def test_one_of_another_stack_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("findings", "run", "last-speaker-wins") == 2
    told = capsys.readouterr().err
    assert "on 1.6 alone" in told
    assert "--stack 1.6" in told


@pytest.mark.parametrize("stack", ["nosuch", "./nofile.yaml"])
def test_a_stack_that_there_is_not_is_told(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("findings", "run", "--stack", stack) == 2
    assert stack.removeprefix("./") in capsys.readouterr().err


def test_a_stack_on_which_nothing_is_known_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (images_folder() / "stacks" / "22.yaml").read_text("utf-8")
    for old, new in (('name: "22"', 'name: "23"'), ("cluster_module: res_corosync", "cluster_module: res_other")):
        text = text.replace(old, new)
    own = tmp_path / "own.yaml"
    own.write_text(text, "utf-8")
    assert run("findings", "run", "--stack", str(own)) == 2
    assert "no finding is known on stack 23" in capsys.readouterr().err


@pytest.mark.parametrize("own", ["22", "22-next"])
def test_a_stack_of_one_s_own_is_held_to_what_is_known_of_its_kind(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (images_folder() / "stacks" / "22.yaml").read_text("utf-8")
    file = tmp_path / "own.yaml"
    file.write_text(text.replace('name: "22"', f'name: "{own}"'), "utf-8")
    ran: list[Scenario] = []

    def run_all(scenarios: list[Scenario], *_: object) -> list[Result]:
        ran.extend(scenarios)
        return []

    monkeypatch.setattr("labctl.cli.findings.run_all", run_all)
    assert run("findings", "run", "said-again-not-sent", "--stack", str(file), "-o", "json") == 5
    assert [(scenario.stack.name, {entry.stack for entry in scenario.known}) for scenario in ran] == [(own, {own})]
    capsys.readouterr()


def test_findings_are_completed() -> None:
    assert offered("findings", "show", "second") == ["second-leave"]
    assert offered("findings", "run", "second-leave", "said") == ["said-again-not-sent"]


def test_runs_of_the_scenario_are_the_rate_and_others_are_told() -> None:
    finding = find_finding("core-at-full-load")
    first = finding.shown_by[0]
    assert finding.rate(first) is None
    assert finding.count(first) == (3, 3)


def test_by_hand_it_begins_once_what_each_says_has_come_to_the_others() -> None:
    script = by_hand(find_finding("publish-interface-down"))
    assert script
    assert script.done.index("until_ says n2 proof-n1 InUse") < script.done.index("ip link set eth0 down")
    alike = by_hand(find_finding("same-entity-id"))
    assert alike
    assert "until_ says n2 proof-n1" not in alike.done  # these two never hear each other


def test_by_hand_a_restart_is_over_once_asterisk_is_booted() -> None:
    script = by_hand(find_finding("keys-without-openssl-cnf"))
    assert script
    _, restarted = script.done.split("restart /etc/service/asterisk")
    assert restarted.index("waitfullybooted") < restarted.index("dundi lookup 102@route bypass")


def test_old_cluster_modules_have_no_script() -> None:
    assert by_hand(find_finding("ais-after-corosync")) is None


def test_a_script_by_hand_may_come_in_through_a_pipe(tmp_path: Path) -> None:
    """What runs in a node must not read the rest of it, as `docker exec -i` does."""
    (tmp_path / "docker").write_text('#!/bin/sh\ncase " $* " in *" -i "*) cat > /dev/null ;; esac\n')
    (tmp_path / "docker").chmod(0o755)
    commands = "on n1 true\nsays n1 101 Idle || :\nscript_on n1 <<'END'\ntrue\nEND\necho whole\n"
    script = f"set -eu\nlab=x\nmoved() {{ cat; }}\n{hand_commands.HELPERS}\n{commands}"
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh"], input=script, text=True, capture_output=True, env={"PATH": path}, check=True)
    assert done.stdout == "whole\n"
