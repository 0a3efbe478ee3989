"""The old stacks: what their configuration is like is held to what ran, or to where it was read; and so is what is
expected of them.

Golden files: LABCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_old_stacks.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from labctl import cli
from labctl.asterisk import output
from labctl.engine import client
from labctl.engine.host import Host
from labctl.engine.observation import Observation
from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario, shipped_scenarios
from tests.unit.labs import files, stack
from tests.unit.test_captures import capture

GOLDEN = Path(__file__).parent / "golden"
BOTH = ("1.6", "1.8")
COROSYNC, ASTERISK = "corosync/corosync.conf", "asterisk/asterisk.conf"
AIS, SIP, MODULES = "asterisk/ais.conf", "asterisk/sip.conf", "asterisk/modules.conf"

RAN = "measured on 1.6.2.9: the configuration that works"
MODULES_RAN = "capture of `module show`, 1.6.2.9"
PRELOADED = "measured on 1.6.2.9: after pbx_config, its hints are Unavailable, and stay so"
UPGRADE = "UPGRADE-1.8.txt, from 1.6.2 to 1.8"

SOURCES = [
    # Corosync
    (BOTH, COROSYNC, "compatibility: whitetank", RAN),
    (BOTH, COROSYNC, "version: 2", "capture of corosync-objctl, 1.2.1; totemconfig.c takes no other"),
    (BOTH, COROSYNC, "secauth: off", RAN),
    (BOTH, COROSYNC, "threads: 0", RAN),
    (BOTH, COROSYNC, "ringnumber: 0", RAN),
    (BOTH, COROSYNC, "bindnetaddr: 198.18.16.0", f"{RAN}: the network"),
    (BOTH, COROSYNC, "mcastaddr: 239.192.18.16", f"{RAN}, but for the address: a lab has its own (RFC 2365, 6.2)"),
    (BOTH, COROSYNC, "mcastport: 5437", f"{RAN}, but for the port: a lab has its own"),
    (BOTH, COROSYNC, "name: openais_clm", f"{RAN}; OpenAIS, services/clm.c"),
    (BOTH, COROSYNC, "name: openais_evt", f"{RAN}; OpenAIS, services/evt.c"),
    (BOTH, COROSYNC, "ver: 0", RAN),
    (BOTH, COROSYNC, "to_stderr: yes", "capture of corosync-objctl, 1.2.1"),
    (BOTH, COROSYNC, "to_syslog: no", "capture of corosync-objctl, 1.2.1"),
    (BOTH, COROSYNC, "to_logfile: yes", "corosync.conf(5), 1.x; the key is in the capture of corosync-objctl"),
    (BOTH, COROSYNC, "logfile: /dev/shm/corosync.log", "corosync.conf(5), 1.x"),
    (BOTH, COROSYNC, "timestamp: on", "capture of corosync-objctl, 1.2.1"),
    (
        BOTH,
        "corosync/uidgid.d/asterisk",
        "uid: asterisk",
        "coroparse.c, read_uidgid_files_into_objdb; measured: without it, 1.2.1 says `Invalid IPC credentials.`",
    ),
    # Asterisk
    (BOTH, ASTERISK, "entityid = 02:00:00:00:00:01", f"{RAN}; capture of `core show settings`; main/asterisk.c"),
    (BOTH, ASTERISK, "sendfullybooted = yes", "main/manager.c of 1.6.2, ast_opt_send_fullybooted; 1.8 needs none"),
    (BOTH, ASTERISK, "app_set = 1.6", f"{UPGRADE}: without [compat], 1.6 takes Set() as 1.4 did"),
    (BOTH, AIS, "[mwi]", f"{RAN}; ais.conf.sample"),
    (BOTH, AIS, "[device_state]", f"{RAN}; ais.conf.sample: supported event types"),
    (BOTH, AIS, "type = event_channel", "ais.conf.sample"),
    (BOTH, AIS, "publish_event = device_state", f"{RAN}; capture of `ais show evt event channels`"),
    (BOTH, AIS, "subscribe_event = device_state", f"{RAN}; capture of `ais show evt event channels`"),
    (BOTH, SIP, "callcounter = yes", f"{RAN}; sip.conf.sample, status notifications"),
    (BOTH, SIP, "notifyhold = yes", "sip.conf.sample, status notifications"),
    (BOTH, SIP, "directmedia = no", "UPGRADE-1.8.txt, from 1.6.1 to 1.6.2: once it was canreinvite"),
    (BOTH, SIP, "subscribecontext = lab", "sip.conf.sample, status notifications"),
    (BOTH, SIP, "allowguest = no", "sip.conf.sample, general"),
    (BOTH, SIP, "type = friend", "sip.conf.sample; capture of `sip show peers`"),
    (BOTH, SIP, "host = dynamic", "sip.conf.sample; capture of `sip show peers`"),
    (BOTH, SIP, "insecure = port,invite", "sip.conf.sample"),
    (BOTH, SIP, "mailbox = 101@default,102@default,103@default", "sip.conf.sample; app_voicemail.c, mwi_sub_event_cb"),
    (BOTH, "asterisk/voicemail.conf", "pollmailboxes = yes", "UPGRADE-1.6.txt, Voicemail"),
    (BOTH, "asterisk/voicemail.conf", "pollfreq = 1", "app_voicemail.c, mb_poll_thread"),
    (BOTH, "asterisk/voicemail.conf", "minsecs = 0", "UPGRADE-1.6.txt, Voicemail: once it was minmessage"),
    (BOTH, "asterisk/logger.conf", "dateformat = %F %T.%3q", "main/stdtime/localtime.c of 1.6.1, ast_strftime"),
    (BOTH, "asterisk/manager.conf", "bindaddr = 127.0.0.1", "manager.conf.sample of 1.6.1"),
    (BOTH, "asterisk/manager.conf", "allowmultiplelogin = yes", "manager.conf.sample of 1.6.1"),
    (BOTH, "asterisk/extensions.conf", "exten = 101,hint,SIP/alice", "capture of `core show hints`, 1.6.2.9"),
    (BOTH, "asterisk/extensions.conf", "same = n,VoiceMail(101@default,s)", "CHANGES, from 1.6.1 to 1.6.2: `same`"),
    (BOTH, MODULES, "load = res_ais.so", f"{MODULES_RAN}; 1.8: Debian's changelog, 1:1.6.1.0~dfsg~rc3-1"),
    (("1.8",), MODULES, "load = chan_sip.so", MODULES_RAN),
    (("1.8",), MODULES, "load = func_devstate.so", MODULES_RAN),
    (("1.6",), MODULES, "preload = chan_sip.so", PRELOADED),
    (("1.6",), MODULES, "preload = func_devstate.so", PRELOADED),
    (BOTH, MODULES, "load = res_smdi.so", f"{MODULES_RAN}; app_voicemail.c, MODULEINFO"),
    (BOTH, MODULES, "load = res_adsi.so", f"{MODULES_RAN}; app_voicemail.c: it requires res_adsi to load"),
    (("1.8",), MODULES, "load = res_rtp_asterisk.so", f"{UPGRADE}: RTP is a module"),
    (("1.8",), MODULES, "load = chan_local.so", "chan_sip.c, MODULEINFO"),
]


def golden(name: str, file: str) -> list[str]:
    text = (GOLDEN / name / "n1" / file).read_text("utf-8")
    return [line.strip() for line in text.splitlines()]


def as_objctl(text: str) -> Iterator[str]:
    """corosync.conf as corosync-objctl prints it: a line for each key, with the sections that it is in."""
    sections: list[str] = []
    for line in (line.partition("#")[0].strip() for line in text.splitlines()):
        if line.endswith("{"):
            sections.append(line.removesuffix("{").strip())
        elif line == "}":
            sections.pop()
        elif line:
            key, _, value = line.partition(":")
            yield f"{'.'.join([*sections, key])}={value.strip()}"


@pytest.mark.parametrize(("names", "file", "line", "source"), SOURCES, ids=[f"{row[1]} {row[2]}" for row in SOURCES])
def test_every_line_that_matters_has_a_source(names: tuple[str, ...], file: str, line: str, source: str) -> None:
    assert source
    assert [line in golden(name, file) for name in names] == [True] * len(names)


def test_corosync_is_told_what_it_was_told_when_it_was_measured() -> None:
    measured = [
        line for line in capture("corosync-1.2.1-corosync-objctl").splitlines() if not line.startswith("runtime.")
    ]
    written = set(as_objctl((GOLDEN / "1.6/n1" / COROSYNC).read_text("utf-8")))
    others = {line.partition("=")[0] for line in set(measured) - written}
    own = {"totem.interface.mcastaddr", "totem.interface.mcastport"}
    assert others == own | {"logging.to_logfile", "logging.fileline"}  # off is what fileline is by itself


def test_corosync_can_read_it_a_statement_a_line() -> None:
    lines = [line.partition("#")[0].strip() for name in BOTH for line in golden(name, COROSYNC)]
    assert [line for line in lines if line and not re.fullmatch(r"[a-z_]+ \{|\}|[a-z_]+: \S+", line)] == []


def test_the_channels_are_those_that_1_6_listed() -> None:
    text = capture("asterisk-1.6.2.9-ais-show-evt-event-channels")
    listed = re.findall(
        r"Name: (\w+)\n=== ==> Publishing Event Type: \1\n=== ==> Subscribing to Event Type: \1\n", text
    )
    written = [line.strip("[]") for line in golden("1.6", AIS) if line.startswith("[")]
    assert sorted(listed) == sorted(written) == ["device_state", "mwi"]


def test_the_modules_of_1_6_are_among_those_that_ran() -> None:
    modules, dundi = stack("1.6").modules, stack("1.6").dundi
    assert dundi
    wanted = {*modules.core, *modules.sip, *modules.voicemail, *dundi.modules, stack("1.6").cluster_module}
    assert wanted - {*output.parse_modules(capture("asterisk-1.6.2.9-module-show"))} == {"res_crypto"}


def test_no_more_modules_are_loaded_than_sufficed_when_1_6_was_measured() -> None:
    assert len([line for line in golden("1.6", MODULES) if line.startswith("load = ")]) <= 13


def test_1_8_can_name_the_members_where_there_is_no_multicast() -> None:
    text = files("name: lab\ntotem: {transport: udpu}\n", "n1", name="1.8")[COROSYNC]
    assert "totem.transport=udpu" in as_objctl(text)
    assert [line for line in as_objctl(text) if "memberaddr" in line] == [
        f"totem.interface.member.memberaddr=198.18.16.1{number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(("token", "hold"), [(200, True), (209, True), (210, False), (1000, False)])
def test_corosync_1_starts_with_any_token_that_a_lab_may_have(token: int, hold: bool) -> None:
    text = files(f"name: lab\ntotem: {{token: {token}}}\n", "n1", name="1.6")[COROSYNC]
    assert ("totem.hold=30" in as_objctl(text)) == hold
    assert hold or int(int(token / 4.2) * 0.8 - 10) >= 30  # totemconfig.c: what it is by itself, and the least


def test_sites_have_rings_of_their_own() -> None:
    lab = "name: lab\nsites: {east: 2, west: 2}\n"
    rings = [tuple(as_objctl(files(lab, node, name="1.6")[COROSYNC])) for node in ("east1", "east2", "west1")]
    assert rings[0] == rings[1] != rings[2]


class Nothing:
    """An engine that holds nothing, and can only be asked."""

    def observe(self, _lab: str) -> Observation:
        """What is there of a lab."""
        return Observation()

    def hosts(self, _lab: str) -> tuple[Host, ...]:
        """The hosts that a lab is over."""
        return ()

    def hosts_of(self, _names: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that one is to be over."""
        return ()

    def require_hosts(self, _hosts: Sequence[Host]) -> None:
        """Whether these can hold it."""

    def images(self) -> dict[str, str]:
        """What images are there."""
        return {}

    def image_id(self, _reference: str) -> str:
        """The id of an image."""
        return ""

    def subnets(self) -> list[str]:
        """What networks are taken."""
        return []


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def check_golden(printed: str, name: str) -> None:
    path = GOLDEN / "cli" / name
    if os.environ.get("LABCTL_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(printed, "utf-8")
    assert printed == path.read_text("utf-8")


@pytest.mark.parametrize("name", BOTH)
def test_config_needs_no_image(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_golden(said_by(capsys, "config", "--stack", name), f"config-{name}.txt")


@pytest.mark.parametrize("name", BOTH)
def test_a_dry_run_needs_no_image_and_names_those_to_build(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "connect", Nothing)
    lines = said_by(capsys, "up", "--stack", name, "--dry-run").splitlines(keepends=True)
    builds = [line for line in lines if line.startswith("build ")]
    assert builds
    assert [line.partition(":")[0] for line in builds if f"/{name}-" in line] == [f"build labctl/{name}-node"]
    steps = re.sub(r":[0-9a-f]{12}$", ":TAG", "".join(lines[len(builds) :]), flags=re.MULTILINE)
    check_golden(steps, f"up-{name}.txt")


@pytest.mark.parametrize("name", BOTH)
def test_config_shows_every_file_of_every_node_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = json.loads(said_by(capsys, "config", "--stack", name, "--files", "-o", "json"))
    assert [*files] == ["n1", "n2", "n3"]
    golden = {f"/etc/{path.relative_to(GOLDEN / name / 'n1')}" for path in (GOLDEN / name / "n1").rglob("*.conf")}
    assert golden <= {*files["n1"]}
    assert "service {" in files["n2"]["/etc/corosync/corosync.conf"]


GHOSTS = {"no_ghosts"}
MEASURED: dict[str, tuple[set[str], set[str]]] = {
    "aggregation": ({"truth", "bounded_delay", "no_flapping"}, set()),
    "corosync-crash": ({"agreement"}, {"agreement"}),
    "corosync-restart": ({"agreement"}, {"agreement"}),
    "late-join-after-retention": ({"agreement"}, set()),
    "majority-minority": ({"no_ghosts", "truth"}, GHOSTS),
    "node-crash-during-call": ({"no_ghosts", "agreement"}, {"no_ghosts", "agreement"}),
    "registration-storm": ({"truth", "bounded_delay"}, set()),
    "rolling-restart": ({"no_ghosts", "agreement"}, GHOSTS),
    "same-entity-id": ({"agreement", "bounded_delay", "no_flapping"}, {"agreement", "bounded_delay", "no_flapping"}),
    "sites-state": (GHOSTS, GHOSTS),
    "totem-cut": (GHOSTS, GHOSTS),
}
"""Which checks failed with 1.6.2.9 and with 1.8.13.1, by scenario; what labctl did wrong itself is left out."""


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_is_expected_to_fail_is_what_failed(name: str) -> None:
    known = find_scenario(name, Overrides()).known
    expected = tuple({entry.check for entry in known if entry.stack == version} for version in BOTH)
    assert expected == MEASURED.get(name, (set(), set()))
