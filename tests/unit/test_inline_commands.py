"""What of a scenario's configuration has a node run commands is named; what has not, is not."""

from __future__ import annotations

import pytest

from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.scenario import inline_commands, loader
from tests.unit.test_scenario import read as read_scenario

RUN_COMMANDS = [
    "exten => 1,1,System(ls)",
    "same => n,system(ls)",
    "exten => 1,1,System,ls",
    "same => n,TrySystem(ls)",
    "same => n,ExecIf($[1]?System:ls)",
    "same => n,Sys;-- nothing --;tem(ls)",
    "same => n,Sys;-- a ;-- b --; c --;tem(ls)",
    "same => n,NoOp(\\;) same => n,System(ls)",
    "same => n,Set(x=${SHELL(ls)})",
    "same => n,Set(FILE(/etc/service/asterisk/run)=x)",
    "same => n,Set(x=${EVAL(${y})})",
    "same => n,Set(x=${${y}LL(ls)})",
    "same => n,Exec(${a}${b}(ls))",
    "same => n,TryExec(Sys${b}(ls))",
    "same => n,ExecIf(1?${a}(ls))",
    "same => n,Originate(Local/1,app,${a},ls)",
    "same => n,AGI(x.sh)",
    "same => n,EAGI(x.sh)",
    "same => n,ExternalIVR(x)",
    "same => n,MixMonitor(a.wav,,ls)",
    "same => n,Queue(q,,,,30,x.sh)",
    "same => n,Set(MONITOR_EXEC=ls)",
    "alarm = *9,self,System,ls",
    "#exec /bin/ls",
    " # exec /bin/ls",
    "execincludes = yes",
    "live_dangerously=>yes",
    "exec_after_rotate=ls",
    "mailcmd = /bin/ls",
    "pagercmd = /bin/ls",
    "externnotify=/bin/ls",
    "externpasscheck = /bin/ls",
    "application=/usr/bin/mpg123",
    "eventcmd = ls",
    "    exec_ping: /bin/ls",
    "startup = dialplan add extension 1,1,System,ls into node",
    "--; System(ls)",
    "--;\n;--\nsame => n,System(ls)",
    ";--\nsame => n,System(ls)",
]
HARMLESS = [
    "; System(ls)",
    "same => n,NoOp(x) ; System(ls) is not run",
    ";--\nsame => n,System(ls)\n--;",
    "[general]\nrtpstart=20000",
    "entityid = 02:00:00:00:00:01",
    "load = res_agi.so",
    "exten => system-1,1,NoOp()",
    'same => n,ExecIf($["${x}" = "1"]?Set(a=b))',
    "same => n,Exec(NoOp,${x})",
    "same => n,Queue(q,,,,30)",
    "same => n,Dial(PJSIP/${EXTEN})",
    "logging {\n  debug: on\n}",
]


@pytest.mark.parametrize("text", RUN_COMMANDS)
def test_what_runs_a_command_is_named(text: str) -> None:
    assert inline_commands.commands({"asterisk/extensions.conf": text})


@pytest.mark.parametrize("text", HARMLESS)
def test_what_runs_none_is_not(text: str) -> None:
    assert inline_commands.commands({"asterisk/extensions.conf": text}) == []


def test_a_program_is_one_whatever_it_says() -> None:
    assert inline_commands.commands({"asterisk/extensions.lua": "x = 1"})


def test_where_a_file_has_other_comments_none_hides_anything() -> None:
    assert inline_commands.commands({"asterisk/extensions.ael": 'context a { 1 => { ; System("ls"); } }'})
    files = {"asterisk/extensions.ael": '#include "more.conf"', "asterisk/more.conf": '; System("ls");'}
    assert [path for path, _, _ in inline_commands.commands(files)] == ["asterisk/more.conf"]


SCENARIO = """\
title: A stranger's
lab:
  config:
    all:
      asterisk/rtp.conf: |
        [general]
      asterisk/extensions.conf: |
        [more]
        exten => 1,1,System(ls)
    n1: {asterisk/logger.conf: "[general]\\nexec_after_rotate=ls"}
steps:
  - settle
"""


def test_each_is_named_with_file_and_line() -> None:
    commands = read_scenario(SCENARIO).commands
    assert [line.split(": ")[0].rpartition(":")[2] for line in commands] == ["9", "10"]
    assert "all: asterisk/extensions.conf: System: exten => 1,1,System(ls)" in commands[0]
    with pytest.raises(UsageError, match=r"exec_after_rotate") as refused:
        inline_commands.refuse(commands, trusted=False)
    assert "--trust" in refused.value.hint
    inline_commands.refuse(commands, trusted=True)


@pytest.mark.parametrize("name", loader.shipped_scenarios())
def test_no_shipped_scenario_runs_any(name: str) -> None:
    assert loader.find_scenario(name, Overrides()).commands == ()
