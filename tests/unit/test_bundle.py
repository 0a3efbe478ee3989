"""A run as one file: what is in it, what is not, and that it is read again as it was written."""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import pytest

from labctl import cli
from labctl.blueprint.secrets import Secrets
from labctl.bundle import archive, packing, reading
from labctl.bundle.redaction import LabSecrets, Redaction, Reporter
from labctl.engine import client
from labctl.errors import HostError, UsageError
from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario
from labctl.stack.loader import find_stack
from tests.unit.bundles import NODE_IMAGE, SEED, contents, keep_run, partition_heal

WIRE = Path(__file__).parent / "data/captures-wire/story/capture.pcapng"
USER, HOST = "monique", "kestrel.example.org"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user of that name, on a host of that name, without Docker."""

    def connect(**_: object) -> None:
        raise HostError("no Docker Engine answers")

    home = tmp_path / "home" / USER
    (home / "work").mkdir(parents=True)
    monkeypatch.chdir(home / "work")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: USER)
    monkeypatch.setattr(platform, "node", lambda: HOST)
    monkeypatch.setattr(client, "connect", connect)
    return home / "work"


def run(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


def test_all_of_a_run_is_in_it_and_read_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(here / "labctl-runs" / "one")
    assert run("bundle", "one") == 0
    assert capsys.readouterr().out == "one.labz\n"
    manifest, files = contents((here / "one.labz").read_bytes())
    told = {"history.jsonl", "terms.json", "verdict.json", "lab.yaml", "scenario.yaml", "stack.yaml", "made_with.json"}
    assert told | {"report.html", "n1.log", "nodes/n3/etc/asterisk/pjsip.conf"} <= set(files)
    assert manifest["run"]["standing"] == "known"
    assert manifest["machine"]["kernel"] == "6.12.9"
    assert manifest["images"]["node"]["packages"] == NODE_IMAGE.packages
    sent = reading.read(Path("one.labz"))
    assert (sent.scenario.name, sent.scenario.lab.name) == ("partition-heal", "replay-partition-heal")
    assert sent.manifest.run.seed == 7
    assert sent.result.standing == "known"
    assert sent.programs == ()


def test_unpacked_it_is_the_folder_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(here / "one")
    assert run("bundle", "one", "-o", "bug.labz") == 0
    _, files = contents((here / "bug.labz").read_bytes())
    for path, data in files.items():
        place = here / "two" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    capsys.readouterr()
    assert run("show", "one") == run("show", "two") == 0
    shown = capsys.readouterr().out
    assert shown.count("partition-heal: known") == 2


def test_a_name_without_an_ending_gets_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(here / "one")
    (here / "folder").mkdir()
    told = {name: run("bundle", "one", "-o", name) for name in ("bug", "other.zip", "folder")}
    assert told == {"bug": 0, "other.zip": 0, "folder": 2}
    assert capsys.readouterr().out == "bug.labz\nother.zip\n"


@pytest.mark.parametrize("name", ["bug", "bug.zip", "bug.html"])
def test_it_is_known_whatever_its_name(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep_run(here / "one")
    (folder / "capture.pcapng").write_bytes(WIRE.read_bytes())
    assert run("bundle", "one", "-o", "bug.labz") == 0
    Path("bug.labz").rename(name)
    capsys.readouterr()
    assert [run(verb, name) for verb in ("show", "check", "report", "ladder")] == [0, 0, 0, 0]
    assert f"{name}.html\n" in capsys.readouterr().out
    assert archive_is_whole(Path(name))


def archive_is_whole(path: Path) -> bool:
    with archive.opened(path) as sent:
        return "history.jsonl" in sent


def test_pages_of_several_lie_beside_the_first(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    keep_run(here / "runs" / "one")
    (here / "sent").mkdir()
    for name in ("a", "b"):
        assert run("bundle", "runs/one", "-o", f"sent/{name}") == 0
    capsys.readouterr()
    assert run("report", "sent/a.labz", "sent/b.labz", "runs/one") == 0
    assert capsys.readouterr().out == "sent/report/index.html\n"
    pages = {path.name for path in (here / "sent" / "report").iterdir()}
    assert pages == {"index.html", "a.labz.html", "b.labz.html", "one.html"}
    assert "labctl replay sent/b.labz" in (here / "sent/report/b.labz.html").read_text()
    assert list(tmp_path.glob("labctl-bundle-*")) == []


def test_no_secret_and_no_name_of_the_machine_is_in_it(here: Path) -> None:
    secrets = Secrets(SEED)
    lines = (
        f"manager.c: login with {secrets.ami} refused",
        f'WWW: Digest username="alice", response="{"0f" * 16}", uri="sip:n1"',
        f"seen by {USER} on {HOST} and kestrel, in {here}/fix.patch and /home/somebody/else",
    )
    folder = keep_run(here / "one", partition_heal(lines=lines))
    key = "-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----\n"
    (folder / "n2.log").write_text(f"{secrets.sip('alice')} {secrets.authkey} {SEED}\n{key}")
    assert run("bundle", str(folder), "-o", "bug.labz") == 0
    manifest, files = contents((here / "bug.labz").read_bytes())
    everything = b"\n".join([json.dumps(manifest).encode(), *files.values()]).decode()
    for word in (SEED, secrets.ami, secrets.authkey, secrets.sip("alice"), "0f" * 16, "MII=", USER, "kestrel"):
        assert word not in everything
    for word in (str(here), str(here.parent), "/home/"):
        assert word not in everything
    assert "login with taken-out refused" in everything
    assert "seen by USER on HOST and HOST, in ./fix.patch and ~/else" in everything
    assert any("SIP and AMI passwords" in line for line in manifest["taken_out"])


def test_names_that_the_lab_has_too_stay() -> None:
    redaction = Redaction(LabSecrets(), Reporter("alice", "n1", (("/home/alice", "~"),)), ("alice", "n1"))
    assert redaction.applied("alice on n1, /home/alice/x") == "alice on n1, ~/x"
    other = Redaction(LabSecrets(), Reporter("mona", "root", (("/", "?"),)))
    assert other.applied("mona, monaco, my-mona, root / x") == "USER, monaco, my-mona, root / x"


@pytest.mark.parametrize("user", ["lab", "state", "said", "steps", "sip", "config", "known", "jdoe"])
def test_whatever_the_user_is_called_the_bundle_can_be_read(
    user: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is called `lab` is likely for whoever has one."""
    monkeypatch.setattr(getpass, "getuser", lambda: user)
    monkeypatch.setattr(platform, "node", lambda: f"{user}.example")
    folder = keep_run(here / "one", partition_heal(lines=[f"seen by {user} alone"]))
    packing.pack(folder, here / "bug.labz")
    bundle = reading.read(here / "bug.labz")
    assert len(bundle.scenario.steps) == len(find_scenario("partition-heal", Overrides()).steps)
    assert bundle.stack
    assert bundle.stack.files == find_stack("22").files
    _, files = contents((here / "bug.labz").read_bytes())
    said = "seen by HOST alone" if user == "jdoe" else f"seen by {user} alone"
    assert said in files["history.jsonl"].decode()


@pytest.mark.parametrize("missing", ["lab.yaml", "stack.yaml"])
def test_secrets_are_taken_out_also_of_a_run_that_has_lost_its_lab(missing: str, here: Path) -> None:
    secrets = Secrets(SEED)
    folder = keep_run(here / "one")
    (folder / missing).write_text("future: yes\n")
    (folder / "n1.log").write_text(f"{secrets.ami} {secrets.authkey} {SEED}\n")
    packing.pack(folder, here / "bug.labz")
    manifest, files = contents((here / "bug.labz").read_bytes())
    for secret in (secrets.ami, secrets.authkey, SEED):
        assert [path for path, data in files.items() if secret.encode() in data] == []
    assert any("SIP and AMI passwords" in line for line in manifest["taken_out"])


def test_of_a_run_without_its_seed_nothing_is_claimed_that_is_not_so(here: Path) -> None:
    folder = keep_run(here / "one")
    (folder / "made_with.json").unlink()
    packing.pack(folder, here / "bug.labz")
    manifest, _ = contents((here / "bug.labz").read_bytes())
    assert any("but not: the lab's passwords" in line for line in manifest["taken_out"])


def test_a_pin_is_taken_out_where_it_is_said_to_be_one(here: Path) -> None:
    pin = Secrets(SEED).pin("101")
    folder = keep_run(here / "one")
    (folder / "n1.log").write_text(f"101 => {pin},alice\npassword '{pin}'\nport {pin}, 101 => {pin}7\n")
    packing.pack(folder, here / "bug.labz")
    _, files = contents((here / "bug.labz").read_bytes())
    text = files["n1.log"].decode()
    assert text == f"101 => taken-out,alice\npassword 'taken-out'\nport {pin}, 101 => {pin}7\n"


def test_a_name_that_is_no_utf_8_is_told_and_the_bundle_can_be_read(here: Path) -> None:
    folder = keep_run(here / os.fsdecode(b"one\xff"))
    (folder / os.fsdecode(b"\xff.log")).write_text("n1 says\n")
    packing.pack(folder, here / "bug.labz")
    bundle = reading.read(here / "bug.labz")
    assert [line for line in bundle.manifest.left_out if line.startswith("\\xff.log")]
    assert bundle.result.folder == "one\\xff"


def test_the_capture_goes_along_as_it_is_and_the_manifest_says_so(here: Path) -> None:
    folder = keep_run(here / "one")
    (folder / "capture.pcapng").write_bytes(bytes(range(256)))
    packing.pack(folder, here / "bug.labz")
    manifest, files = contents((here / "bug.labz").read_bytes())
    assert files["capture.pcapng"] == bytes(range(256))
    assert any(line.startswith("but not: in the capture") for line in manifest["taken_out"])
    assert "a capture" not in manifest["lacking"]


@pytest.mark.parametrize(("more", "told"), [("", 0), ("config: {n1: {asterisk/x.conf: 'secret = hush'}}\n", 1)])
def test_what_the_lab_file_says_itself_stays_and_the_manifest_says_so(here: Path, more: str, told: int) -> None:
    folder = keep_run(here / "one")
    lab = (folder / "lab.yaml").read_text()
    (folder / "lab.yaml").write_text(lab.replace("config: {}\n", more))
    packing.pack(folder, here / "bug.labz")
    manifest, files = contents((here / "bug.labz").read_bytes())
    assert ("hush" in files["lab.yaml"].decode()) == bool(told)
    assert sum("the lab file itself" in line for line in manifest["taken_out"]) == told


def test_what_no_bundle_has_is_left_out_and_told(here: Path) -> None:
    folder = keep_run(here / "one")
    (folder / "core.91").write_bytes(b"\x7fELF")
    (folder / "n1.log").write_bytes(b"\xff\xfe")
    (folder / "secret.log").symlink_to("/etc/passwd")
    packed = packing.pack(folder, here / "bug.labz")
    told = " ".join(packed.manifest.left_out)
    assert "core.91: it is no file that a bundle has" in told
    assert "n1.log: no text" in told
    _, files = contents((here / "bug.labz").read_bytes())
    assert not {"core.91", "n1.log", "secret.log"} & {*files}


def test_a_letter_around_a_patch_stays_here(here: Path) -> None:
    folder = keep_run(here / "one")
    (folder / "patches").mkdir()
    change = (
        "diff --git a/res/res_corosync.c b/res/res_corosync.c\n"
        "--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1 +1 @@\n-a\n+b\n"
    )
    (folder / "patches" / "001-fix.patch").write_text(f"From: Monique <monique@example.org>\nSubject: x\n\n{change}")
    packing.pack(folder, here / "bug.labz")
    sent = reading.read(here / "bug.labz")
    assert [(patch.name, patch.content.decode()) for patch in sent.patches] == [("fix.patch", change)]
    assert sent.programs == (f"the patch fix.patch of res_corosync: {len(change)} bytes",)


def test_a_run_of_0_1_says_what_is_lacking(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep_run(here / "old")
    for name in ("verdict.json", "scenario.yaml", "made_with.json", "stack.yaml"):
        (folder / name).unlink()
    assert run("bundle", "old", "-o", "old.labz") == 0
    told = capsys.readouterr().err
    assert "lacking: the scenario: what this labctl ships as partition-heal stands in its place" in told
    assert "lacking: what the machine was" in told
    sent = reading.read(here / "old.labz")
    assert sent.result.standing == "known"
    assert len(sent.scenario.steps) == 11


def test_a_run_of_an_unknown_scenario_that_was_not_kept_cannot_be_replayed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = keep_run(here / "old")
    (folder / "scenario.yaml").unlink()
    terms = json.loads((folder / "terms.json").read_text())
    (folder / "terms.json").write_text(json.dumps(terms | {"scenario": "mine"}))
    (folder / "verdict.json").unlink()
    assert run("bundle", "old", "-o", "old.labz") == 0
    assert "it cannot be replayed" in capsys.readouterr().err
    assert run("replay", "old.labz", "--yes") == 2
    assert "no scenario is in it" in capsys.readouterr().err


def test_a_run_whose_lab_did_not_come_up(here: Path) -> None:
    folder = keep_run(here / "none")
    result = json.loads((folder / "verdict.json").read_text())
    error = {"judged": [], "lab_error": "not ready after 60 s: n3", "exit_code": 1, "standing": "error"}
    (folder / "verdict.json").write_text(json.dumps(result | error))
    (folder / "history.jsonl").unlink()
    packed = packing.pack(folder, here / "bug.labz")
    assert "a history: the lab did not come up" in packed.manifest.lacking
    assert reading.read(here / "bug.labz").result.lab_error == "not ready after 60 s: n3"


def test_a_bundle_takes_the_place_of_one_that_is_there_and_nothing_else_is_left(here: Path) -> None:
    folder = keep_run(here / "one")
    (here / "bug.labz").write_text("what was there")
    packing.pack(folder, here / "bug.labz")
    with archive.opened(here / "bug.labz") as opened:
        opened.verify()
    assert sorted(path.name for path in here.iterdir()) == ["bug.labz", "one"]


def test_a_bundle_that_cannot_be_read_takes_the_place_of_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keep_run(here / "one")
    (here / "bug.labz").write_bytes(b"old")
    (folder / os.fsdecode(b"\xff.log")).write_text("n1 says\n")
    monkeypatch.setattr(packing, "told_name", str)
    with pytest.raises(UsageError, match="manifest"):
        packing.pack(folder, here / "bug.labz")
    assert (here / "bug.labz").read_bytes() == b"old"
    assert sorted(path.name for path in here.iterdir()) == ["bug.labz", "one"]


def test_a_full_disk_leaves_what_was_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    folder = keep_run(here / "one")
    (here / "bug.labz").write_text("what was there")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left on device"):
        packing.pack(folder, here / "bug.labz")
    assert (here / "bug.labz").read_text() == "what was there"
    assert sorted(path.name for path in here.iterdir()) == ["bug.labz", "one"]


@pytest.mark.parametrize("target", ["one", "nowhere/bug.labz"])
def test_where_nothing_can_be_written(target: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(here / "one")
    assert run("bundle", "one", "-o", target) in (2, 4)
    assert "-o names" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_run_without_yes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(here / "one")
    packing.pack(here / "one", here / "bug.labz")
    assert run("replay", "bug.labz") == 2
    told = capsys.readouterr().err
    for line in ("faults: partition n1,n2 | n3", "nodes n1, n2, n3", "phones alice on n1", "--yes goes on"):
        assert line in told
    assert run("replay", "bug.labz", "--yes") == 4
    assert "no Docker Engine answers" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Somebody who types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "exit_code", "told"), [("n\n", 2, "nothing was run"), ("y\n", 4, "no Docker Engine")]
)
def test_who_can_answer_is_asked(
    typed: str,
    exit_code: int,
    told: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    packing.pack(keep_run(here / "one"), here / "bug.labz")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert run("replay", "bug.labz") == exit_code
    assert told in capsys.readouterr().err


def test_commands_of_a_stranger_want_trust(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep_run(here / "one")
    text = (folder / "scenario.yaml").read_text()
    dialplan = "config: {all: {asterisk/extensions.conf: 'exten => 1,1,System(reboot)'}}"
    (folder / "scenario.yaml").write_text(text.replace("config: {}", dialplan))
    packing.pack(folder, here / "bug.labz")
    assert run("replay", "bug.labz", "--yes") == 2
    refused = capsys.readouterr().err
    assert "asterisk/extensions.conf: System: exten => 1,1,System(reboot)" in refused
    assert "--trust" in refused
    assert run("replay", "bug.labz", "--yes", "--trust") == 4
    assert "no Docker Engine answers" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["show", "check", "report"])
def test_a_bundle_is_looked_at_as_a_run_is(
    here: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    keep_run(here / "labctl-runs" / "one")
    run("bundle", "one", "-o", "bug.labz")
    capsys.readouterr()
    code = run(verb, "bug.labz")
    of_bundle = capsys.readouterr().out
    assert code == run(verb, "one")
    of_run = capsys.readouterr().out
    assert of_bundle.replace("bug.labz", "X") == of_run.replace("labctl-runs/one", "X") or verb == "report"
    assert [*here.glob("labctl-bundle-*")] == []


def test_the_page_of_a_bundle_lies_beside_it_and_says_how_to_replay_it(here: Path) -> None:
    keep_run(here / "labctl-runs" / "one")
    run("bundle", "one", "-o", "bug.labz")
    assert run("report", "bug.labz") == 0
    page = (here / "bug.html").read_text()
    assert "labctl replay bug.labz" in page
    assert "labctl check bug.labz" in page
    assert tempfile.gettempdir() not in page


@pytest.mark.parametrize("verb", ["show", "check", "report", "ladder"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip" * 10])
def test_what_is_no_bundle_is_refused_by_each(here: Path, verb: str, content: bytes) -> None:
    (here / "bug.labz").write_bytes(content)
    assert run(verb, "bug.labz") == 2
    assert run(verb, "none.labz") == 2


def test_a_ladder_of_a_bundle_is_told_by_its_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "labctl-runs" / "one"
    keep_run(folder)
    (folder / "capture.pcapng").write_bytes(WIRE.read_bytes())
    run("bundle", "one", "-o", "bug.labz")
    capsys.readouterr()
    assert run("ladder", "bug.labz", "--call", "99") == 2
    told = capsys.readouterr().err
    assert "labctl ladder bug.labz --all" in told
    assert tempfile.gettempdir() not in told
