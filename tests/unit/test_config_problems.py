"""What a node complains of in files that `config:` adds to, and which of them nobody there reads."""

from __future__ import annotations

import pytest

from labctl.cluster import config_problems
from labctl.cluster.config_problems import ConfigProblem, look, readers
from labctl.errors import LabError
from tests.unit.labs import lab
from tests.unit.test_captures import capture

LISTING = capture("asterisk-22-config-list")
MODULES = "res_rtp_asterisk.so   RTP   0   Running   core\n"
LOG = """\
Nov 26 15:04:42 corosync notice
[2026-11-26 15:04:42.846] WARNING[10]: res_rtp_asterisk.c:10566 rtp_reload: Unreasonable values for RTP start/end port in rtp.conf
[2026-11-26 15:04:42.870] WARNING[10]: app_voicemail.c:15203 actual_load_config: maxsilence should be less than minsecs
[2026-11-26 15:04:42.870] NOTICE[10]: app_voicemail.c:15203 actual_load_config: a notice of voicemail.conf
[2026-11-26 15:04:43.076] WARNING[9]: config.c:2049 process_text_line: parse error: no closing ']', line 32 of /etc/asterisk/extensions.conf
[2026-11-26 15:04:44.076] WARNING[9]: config.c:2049 process_text_line: parse error: no closing ']', line 32 of /etc/asterisk/extensions.conf
[2026-11-26 15:04:45.000] ERROR[19]: cdrel_custom/config.c:1055 load: Unable to load mycdr.conf
"""  # noqa: E501 - as Asterisk prints it


def problems(*paths: str, node: str = "n1", log: str = LOG, text: str = "; more") -> list[str]:
    """The problems of a lab that adds a text to these files."""
    files = "".join(f'    {path}: "{text}"\n' for path in paths)
    return [
        str(problem)
        for problem in look(
            lab(f"name: lab\nconfig:\n  n1:\n{files}"),
            node,
            log,
            lambda command: LISTING if command == config_problems.LIST_COMMAND else MODULES,
        )
    ]


def test_who_has_read_a_file_is_in_the_list_of_the_real_one() -> None:
    read_by = readers(LISTING)
    assert read_by
    assert read_by["asterisk/voicemail.conf"] == {"app_voicemail"}
    assert read_by["asterisk/users.conf"] == {"app_voicemail", "pbx_config", "manager"}
    assert len(read_by["asterisk/pjsip.conf"]) > 1
    assert "asterisk/queues.conf" not in read_by
    assert (
        readers("No such command 'config list' (type 'core show help config list' for other possible commands)") is None
    )


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("asterisk/rtp.conf", ["rtp_reload: Unreasonable values for RTP start/end port in rtp.conf"]),
        ("asterisk/voicemail.conf", ["actual_load_config: maxsilence should be less than minsecs"]),
        (
            "asterisk/extensions.conf",
            ["process_text_line: parse error: no closing ']', line 32 of /etc/asterisk/extensions.conf"],
        ),
        ("asterisk/manager.conf", []),
    ],
)
def test_what_the_log_says_of_a_file_or_its_reader_is_told_once(path: str, texts: list[str]) -> None:
    assert problems(path) == [f"n1: {path}: {text}" for text in texts]


def test_what_a_reader_says_of_another_of_its_files_is_told_of_no_other() -> None:
    of_users = "[2026-11-26 15:04:42.870] WARNING[10]: pbx_config.c:1 load: no context in users.conf for user 1\n"
    assert problems("asterisk/extensions.conf", log=of_users) == []
    assert problems("asterisk/users.conf", log=of_users) == [
        "n1: asterisk/users.conf: load: no context in users.conf for user 1"
    ]


def test_a_name_within_another_is_another_file() -> None:
    assert not [problem for problem in problems("asterisk/cdr.conf") if "mycdr" in problem]


@pytest.mark.parametrize(
    ("path", "is_read"),
    [
        ("asterisk/queues.conf", False),
        ("asterisk/rtp.cnof.conf", False),
        ("asterisk/pjsip.conf", True),
        ("asterisk/extensions.ael", False),
        ("asterisk/keys/mine.key", True),
        ("corosync/corosync.conf", True),
        ("corosync/uidgid.d/me", True),
        ("corosync/corosync.cfg", False),
    ],
)
def test_what_nothing_reads_is_told(path: str, is_read: bool) -> None:
    complaints = [
        problem for problem in problems(path, log="") if "nothing that is loaded on this node reads it" in problem
    ]
    assert bool(complaints) is not is_read


def test_what_another_file_includes_is_read() -> None:
    assert problems("asterisk/mine.conf", "asterisk/extensions.conf", log="", text="#include mine.conf") == []


def test_a_file_of_another_node_is_no_problem_here() -> None:
    assert problems("asterisk/queues.conf", node="n2") == []


def test_where_asterisk_does_not_answer_its_log_still_tells() -> None:
    def refuse(_: str) -> str:
        raise LabError("n1 is not running")

    broken = lab('name: lab\nconfig: {all: {asterisk/extensions.conf: "[x"}}\n')
    assert look(broken, "n1", LOG, refuse) == [
        ConfigProblem(
            "n1",
            "asterisk/extensions.conf",
            "process_text_line: parse error: no closing ']', line 32 of /etc/asterisk/extensions.conf",
        )
    ]


def test_a_section_that_is_there_twice_is_named_with_the_way_to_add_to_it() -> None:
    texts = {
        "asterisk/voicemail.conf": "[general]\na=1\n[default]\n[general]\nb=2\n[default]\n",
        "asterisk/rtp.conf": "[general]\n[general](+)\n",
        "corosync/corosync.conf": "[general]\n[general]\n",
    }
    what = "[general] is there twice, and Asterisk reads the first alone: [general](+) adds to that"
    assert config_problems.doubled("n1", texts) == [ConfigProblem("n1", "asterisk/voicemail.conf", what)]
