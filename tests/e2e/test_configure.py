"""Files of running nodes that were left changed: who looks is told, and `up` makes the node as its lab says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.cluster.lifecycle import down
from labctl.engine import client as engines
from labctl.history.journal import Journal
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.progress import Silent
from labctl.scenario import run_folder
from labctl.scenario.assembly import live_lab
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

NAME = f"e2e-configure-{os.getpid()}"
UPGRADED = f"e2e-upgraded-{os.getpid()}"
READY_S = 120.0


def test_what_is_left_changed_is_told_and_up_mends_it() -> None:
    engine = engines.connect()
    wanted, stack = find_lab(None, Overrides(name=NAME, nodes=2, without=("n2",)))
    try:
        verbs.up(engine, wanted, stack, Options(), READY_S, Silent())
        live = live_lab(engine, verbs.load(engine, NAME), Journal(), Silent())
        live.open()
        live.configure("n1", "asterisk/pjsip.conf", keys={"alice": {"max_contacts": "4"}}, reload="res_pjsip")
        live.cli("n1", "pjsip show aor alice", expect="max_contacts +: 4", must=True)
        live.cluster.close()  # as if labctl had been killed: nothing is undone
        table = labctl("ps", "--name", NAME).out
        assert "changed since it came up: asterisk/pjsip.conf" in table
        assert "not started" in table
        labctl("up", "--name", NAME)
        assert "changed since" not in labctl("ps", "--name", NAME).out
        assert "max_contacts = 1" in labctl("sh", "n1", "--name", NAME, "--", "cat", "/etc/asterisk/pjsip.conf").out
        labctl("up", "--name", NAME, "--without", "")
        assert "not started" not in labctl("ps", "--name", NAME).out
    finally:
        down(engine, NAME, Silent())


def test_what_was_changed_and_logged_outlives_an_upgrade(tmp_path: Path) -> None:
    engine = engines.connect()
    wanted, stack = find_lab(None, Overrides(name=UPGRADED, nodes=2))
    reads = {"node": "n1", "command": "rtp show settings", "must": True}
    try:
        verbs.up(engine, wanted, stack, Options(), READY_S, Silent())
        running = verbs.load(engine, UPGRADED)
        with live_lab(engine, running, Journal(), Silent()) as live:
            live.configure("n1", "asterisk/rtp.conf", keys={"general": {"rtpstart": 12000}}, reload="res_rtp_asterisk")
            live.upgrade("n1", stack=stack.name)
            live.cli(**reads, expect="Port start: +12000")
            live.configure("n1", "asterisk/rtp.conf", keys={"general": {"rtpend": 12999}}, reload="res_rtp_asterisk")
            live.cli(**reads, expect="Port end: +12999")
        assert "changed since" not in labctl("ps", "--name", UPGRADED).out
        assert "12000" not in labctl("sh", "n1", "--name", UPGRADED, "--", "cat", "/etc/asterisk/rtp.conf").out
        run_folder.save_lab(engine, running.lab, engine.observe(UPGRADED), tmp_path)
        assert (tmp_path / "n1.log").read_text().count("Asterisk Ready") == 2
    finally:
        down(engine, UPGRADED, Silent())
