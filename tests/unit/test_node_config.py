"""`config:` in the files of each node: texts added, sections edited, names filled in."""

from __future__ import annotations

from labctl.cluster.config_problems import added_files
from labctl.labfile import writer
from tests.unit.labs import draw, files, lab

TEXT = """\
nodes: 2
phones: 2
config:
  all:
    asterisk/pjsip.conf: {alice: {max_contacts: 3, remove_existing: null}}
    asterisk/rtp.conf: |
      ; ${node.name} ${node.address} ${node.entityid} ${n2.mac} ${n1.nodeid} ${lab.name} ${phones.address}
      ; ${EXTEN} ${CHANNEL(name)} ${node}
    asterisk/queues.conf:
      - {general: {}, "${node.name}": {strategy: ringall, member: [a, b]}}
      - |
        [more]
        x = 1
      - {more: {x: 2}}
  n2:
    corosync/corosync.conf: {totem: {token: 3000, interface: {knet_ping_interval: null}}}
"""


def test_each_node_gets_what_its_scope_says() -> None:
    first, second = files(TEXT, "n1"), files(TEXT, "n2")
    assert "[alice]\ntype = aor\nmax_contacts = 3\n" in first["asterisk/pjsip.conf"]
    assert "max_contacts = 3" not in second["asterisk/pjsip.conf"]
    assert "token: 1000" in first["corosync/corosync.conf"]
    assert "    token: 3000\n" in second["corosync/corosync.conf"]
    assert "knet_ping_interval" not in second["corosync/corosync.conf"]


def test_names_are_filled_in_and_asterisks_own_stay() -> None:
    assert files(TEXT, "n2")["asterisk/rtp.conf"] == (
        "; n2 198.18.16.12 02:00:00:00:00:02 02:42:c6:12:10:0c 1 lab 198.18.16.9\n; ${EXTEN} ${CHANNEL(name)} ${node}\n"
    )


def test_parts_of_one_file_are_made_in_order() -> None:
    assert files(TEXT, "n1")["asterisk/queues.conf"] == (
        "[general]\n[n1]\nstrategy = ringall\nmember = a\nmember = b\n[more]\nx = 2\n"
    )


def test_what_was_read_is_written_and_read_again() -> None:
    there = lab(TEXT)
    assert lab(writer.to_yaml(there)) == there


WHOLE = """\
nodes: 2
config:
  all:
    asterisk/rtp.conf: x
    /etc/odbc.ini: "Servername = ${node.address}"
    /usr/share/asterisk/agi-bin/hello.agi: |
      #!/bin/sh
      echo hello
  n2: {/etc/odbc.ini: "Port = 5433"}
"""


def test_a_node_has_whole_files_of_other_programs_and_scripts_run() -> None:
    first, second, *_ = draw(WHOLE).containers
    whole = {file.path: file for file in second.files if not file.path.startswith(("/etc/asterisk", "/etc/corosync"))}
    assert whole["/etc/odbc.ini"].text == "Servername = 198.18.16.12\nPort = 5433\n"
    assert (whole["/etc/odbc.ini"].mode, whole["/etc/odbc.ini"].group) == (0o644, "")
    script = whole["/usr/share/asterisk/agi-bin/hello.agi"]
    assert (script.text, script.mode) == ("#!/bin/sh\necho hello\n", 0o755)
    assert "Servername = 198.18.16.11\n" in [file.text for file in first.files]
    assert lab(writer.to_yaml(lab(WHOLE))) == lab(WHOLE)


def test_of_such_files_no_module_of_asterisks_is_asked() -> None:
    assert added_files(lab(WHOLE), "n2") == ("asterisk/rtp.conf",)
