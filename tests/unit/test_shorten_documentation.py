"""The script that leaves a node's Asterisk what its documentation says of the modules that it loads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.paths import images_folder

SCRIPT = images_folder() / "asterisk/root/usr/local/sbin/shorten-documentation"
NAME = "core-en_US.xml"
WHOLE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE docs SYSTEM "appdocsxml.dtd">
<?xml-stylesheet type="text/xsl" href="appdocsxml.xslt"?>
<docs xmlns:xi="http://www.w3.org/2001/XInclude">
<module language="en_US" name="app_dial">
\t<support_level>core</support_level>
</module>
<module language="en_US" name="app_queue">
\t<depend>res_monitor</depend>
</module>
\t<application name="Answer" language="en_US" module="builtin">
\t\t<synopsis>Answer a channel.</synopsis>
\t</application>
\t<application name="Dial" language="en_US" module="app_dial">
\t\t<see-also><ref type="application">Queue</ref></see-also>
\t</application>
<application name="Queue" language="en_US" module="app_queue">
\t\t<see-also>
\t\t\t<ref type="manager">QueueAdd</ref>
\t\t</see-also>
</application>
\t<function name="QUEUE_MEMBER" language="en_US" module="app_queue">
\t</function>
\t<manager name="QueueAdd" language="en_US" module="app_queue">
\t</manager>
\t<manager name="Park" language="en_US" module="parking_manager">
\t</manager>
\t<agi name="answer" language="en_US">
\t</agi>
\t\t<managerEvent language="en_US" name="Hangup" module="builtin">
\t\t\t<managerEventInstance class="EVENT_FLAG_CALL">
\t\t\t</managerEventInstance>
\t\t</managerEvent>
\t<configInfo name="app_queue" language="en_US">
\t</configInfo>
</docs>
"""
LIST = (
    "[modules]\nautoload = no\npreload = res_odbc.so\nload = app_dial.so\n;load = app_queue.so\nnoload = app_queue.so\n"
)


def shorten(folder: Path, modules: str | None, path: str = "/usr/bin:/bin") -> str:
    """What Asterisk reads after the script has run."""
    (folder / "documentation").mkdir(exist_ok=True)
    if modules is not None:
        (folder / "modules.conf").write_text(modules)
    environment = {
        "SHORTEN_DOCUMENTATION_ETC": str(folder),
        "SHORTEN_DOCUMENTATION_FOLDER": str(folder / "documentation"),
        "PATH": path,
    }
    subprocess.run(["/bin/sh", str(SCRIPT)], env=environment, check=True, timeout=60, stderr=subprocess.DEVNULL)
    read = folder / "documentation" / NAME
    return read.read_text() if read.exists() else ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the documentation is as Debian has it."""
    (tmp_path / "documentation").mkdir()
    (tmp_path / "documentation" / NAME).write_text(WHOLE)
    return tmp_path


def names(text: str) -> list[str]:
    """What is documented, by kind and name."""
    documented = ElementTree.fromstring(text.encode())  # noqa: S314 - our own
    return [f"{element.tag} {element.get('name')}" for element in documented]


def test_what_is_said_of_modules_that_are_not_loaded_and_of_events_is_left_out(folder: Path) -> None:
    short = shorten(folder, LIST)
    assert names(short) == [
        *("module app_dial", "application Answer", "application Dial", "manager Park", "agi answer"),
        "configInfo app_queue",
    ]
    assert short.splitlines()[:4] == WHOLE.splitlines()[:4]
    assert (folder / "documentation/whole" / NAME).read_text() == WHOLE


@pytest.mark.parametrize(
    "modules",
    [
        "[modules]\nautoload = yes\nnoload = app_queue.so\n",
        "[modules]\nautoload=>yes\n",
        "[modules]\nload = app_dial.so\n",  # Asterisk's default is to load whatever there is
        f"{LIST}#include modules.d/*.conf\n",
        f"{LIST}#exec more\n",
        None,
    ],
)
def test_where_it_is_not_said_what_is_loaded_all_stays(modules: str | None, folder: Path) -> None:
    assert shorten(folder, modules) == WHOLE


def test_where_it_cannot_be_shortened_all_stays(folder: Path) -> None:
    """Asterisk does not start without any."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("grep", "mkdir", "mv", "cp"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    assert shorten(folder, LIST, str(tools)) == WHOLE


@pytest.mark.parametrize(
    "line",
    [
        "\tload = app_queue.so ; for calls that wait",
        "load = app_queue.so",
        "load => app_queue.so",
        "load=app_queue",
        "require = app_queue.so",
        "preload-require=app_queue",
    ],
)
def test_what_is_loaded_from_the_next_start_on_is_documented_then(line: str, folder: Path) -> None:
    shorten(folder, LIST)
    short = shorten(folder, f"{LIST}{line}\n")
    assert {"application Queue", "function QUEUE_MEMBER", "manager QueueAdd", "module app_queue"} <= {*names(short)}
    assert shorten(folder, "[modules]\nautoload = yes\n") == WHOLE


def test_an_asterisk_without_documentation_gets_none(tmp_path: Path) -> None:
    assert shorten(tmp_path, LIST) == ""
    assert [path.name for path in (tmp_path / "documentation").iterdir()] == []
