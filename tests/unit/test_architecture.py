"""Old programs of 64 bits crash on a kernel without a vsyscall page: there a node is of i386, and doctor says so."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import cast

import pytest

from labctl import doctor
from labctl.engine.client import Engine
from labctl.images import architecture
from labctl.stack.model import Stack
from tests.unit.labs import stack

WITHOUT = "7ffd0000-7ffd2000 r-xp 00000000 00:00 0    [vdso]\n"
WITH = f"{WITHOUT}ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]\n"
CRASH = "none: 64-bit systems before glibc 2.14 crash"


class Kernel:
    """An engine that has images, and whose kernel prints what the probe asks for."""

    def __init__(self, answer: str, *images: str) -> None:
        self._answer = answer
        self._images = images
        self.asked: list[str] = []

    def images(self) -> dict[str, str]:
        """What images are there."""
        return dict.fromkeys(self._images, "sha256:id")

    def probe(self, image: str, script: str, *, of_machine: bool = False) -> str:
        """What a script prints in a container of an image."""
        assert script == architecture.PROBE
        self.asked.append(image)
        return self._answer


def chosen(kernel: Kernel, of: Stack) -> str | None:
    build = architecture.for_kernel(cast(Engine, kernel), of).build
    assert build
    return build.architecture


@pytest.mark.parametrize(
    ("answer", "is_i386"),
    [
        (f"x86_64\n{WITH}", False),
        (f"x86_64\n{WITHOUT}", True),
        (f"aarch64\n{WITHOUT}", False),
        ("x86_64\n", False),
        ("", False),
    ],
)
def test_a_kernel_without_the_page_wants_i386_where_it_is_of_amd64(answer: str, is_i386: bool) -> None:
    assert architecture.needs_i386(answer) is is_i386


def test_an_old_stack_takes_i386_there_by_itself() -> None:
    lacking = Kernel(f"x86_64\n{WITHOUT}", "labctl/sid-phone:1", "other/bookworm:1", "labctl/bookworm-builder:1")
    assert chosen(lacking, stack("1.6")) == chosen(lacking, stack("1.8")) == "i386"
    assert lacking.asked == ["labctl/bookworm-builder:1"] * 2
    assert chosen(Kernel(f"x86_64\n{WITH}", "labctl/sid-base:1"), stack("1.6")) is None


def test_whoever_runs_there_or_is_not_built_here_is_not_asked_for() -> None:
    lacking = Kernel(f"x86_64\n{WITHOUT}", "labctl/sid-phone:1")
    assert chosen(lacking, stack("22")) is None
    assert chosen(lacking, stack("1.6").with_image("mine:1")) is None
    assert lacking.asked == []


def test_where_there_is_no_image_yet_this_machine_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(WITHOUT)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(architecture, "OWN_MAPS", maps)
    assert chosen(Kernel("never asked"), stack("1.6")) == "i386"
    maps.unlink()
    assert chosen(Kernel("never asked"), stack("1.6")) is None


@pytest.mark.parametrize(
    ("facts", "of", "detail"),
    [
        ({"vsyscall": "--xp", "machine": "x86_64"}, stack("1.6"), "--xp: 64-bit systems before glibc 2.14 run"),
        (
            {"machine": "x86_64"},
            stack("1.6"),
            f"{CRASH}, so the nodes of 1.6 are i386",
        ),
        ({"machine": "x86_64"}, stack("22"), f"{CRASH}; 22 has none"),
    ],
)
def test_doctor_tells_what_it_means_for_the_stack(facts: dict[str, str], of: Stack, detail: str) -> None:
    assert (doctor.vsyscall(facts, of).level, doctor.vsyscall(facts, of).detail) == ("ok", detail)


def test_doctor_names_the_way_out_for_an_image_from_elsewhere() -> None:
    diagnosis = doctor.vsyscall({"machine": "x86_64"}, stack("1.6").with_image("mine:1"))
    assert diagnosis.level == "limited"
    assert "vsyscall=xonly" in diagnosis.fix


def test_doctor_knows_the_kernel_before_a_node_is_built() -> None:
    lacking, having = (cast(Engine, Kernel(f"x86_64\n{maps}", "labctl/sid-base:1")) for maps in (WITHOUT, WITH))
    assert architecture.kernel_facts(lacking) == {"machine": "x86_64", "vsyscall": ""}
    assert architecture.kernel_facts(having) == {"machine": "x86_64", "vsyscall": "--xp"}
