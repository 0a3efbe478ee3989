"""Where old packages come from, what is refused unless it is asked for, and what is said of either."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from labctl.errors import HostError, InvalidFile, UsageError
from labctl.images import builder, mirror, mmdebstrap
from labctl.images.mirror import Mirror, Way
from labctl.images.recipes import System
from labctl.paths import images_folder
from labctl.stack.model import parse_stack
from tests.unit.labs import stack

OLD = System("squeeze", "debian/eol:squeeze", ("corosync", "asterisk"), "removed.gpg")
DPKG_OPTIONS = Path("/dpkg.cfg")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A mirror in a folder, signed to the eye."""
    (tmp_path / "dists/squeeze").mkdir(parents=True)
    for name in ("Release", "Release.gpg"):
        (tmp_path / "dists/squeeze" / name).touch()
    return tmp_path


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The keyring that the system names, and mmdebstrap, wherever the tests run."""
    monkeypatch.setattr(mmdebstrap, "KEYRINGS", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    (tmp_path / "removed.gpg").touch()
    return tmp_path / "removed.gpg"


def refuse(reference: str) -> None:
    raise HostError(f"no registry gives {reference}")


def find(given: Path, *, insecure: bool = False, base: str = OLD.base) -> tuple[Way | None, str]:
    way, tried = mirror.find(replace(OLD, base=base), str(given), insecure, refuse)
    return way, "\n".join(tried)


# Which mirror


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://mirror.example/debian", "http://mirror.example/debian"),
        ("/srv/my mirror", "copy:///srv/my%20mirror"),
        ("file:///srv/mirror", "copy:///srv/mirror"),
    ],
)
def test_a_mirror_that_is_given_is_taken_as_apt_takes_it(given: str, url: str) -> None:
    assert mirror.choose(OLD, given) == Mirror(url, "--mirror")


def test_a_folder_is_found_from_where_labctl_is_run(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive.parent)
    assert mirror.choose(OLD, archive.name).url == f"copy://{archive}"


@pytest.mark.parametrize("suite", ["squeeze", "wheezy"])
def test_else_it_is_debootstrap_that_knows_by_suite_or_by_keyring(suite: str, tmp_path: Path) -> None:
    (tmp_path / "etch").write_text(
        "keyring /usr/share/keyrings/removed.gpg\n  default_mirror http://old.example/debian\n"
    )
    (tmp_path / "gutsy").write_text("keyring /usr/share/keyrings/other.gpg\ndefault_mirror http://other.example\n")
    (tmp_path / "sid").write_text("keyring /usr/share/keyrings/new.gpg\n")
    (tmp_path / "squeeze").symlink_to("etch")
    (tmp_path / "wheezy").symlink_to("sid")
    assert mirror.choose(replace(OLD, suite=suite), "", tmp_path) == Mirror("http://old.example/debian", "debootstrap")


def test_where_nobody_names_one_it_is_left_to_mmdebstrap(tmp_path: Path) -> None:
    assert mirror.choose(OLD, "", tmp_path / "none") == Mirror("", "mmdebstrap")


# What is in reach


def test_a_folder_that_holds_the_suite_is_in_reach(archive: Path) -> None:
    assert mirror.ask(Mirror(f"copy://{archive}", ""), "squeeze") == ("", True)
    (archive / "dists/squeeze/Release.gpg").unlink()
    assert mirror.ask(Mirror(f"copy://{archive}", ""), "squeeze") == ("", False)
    assert mirror.ask(Mirror(f"copy://{archive}", ""), "wheezy")[0] == f"{archive}/dists/wheezy/Release is not there"


# What is taken


def test_what_can_be_verified_is(archive: Path, keyring: Path) -> None:
    assert find(archive)[0] == Way("", Mirror(f"copy://{archive}", "--mirror"), checked=True)
    assert find(archive, insecure=True)[0] == find(archive)[0]


def test_without_its_keyring_it_is_refused_unless_that_is_asked_for(archive: Path, keyring: Path) -> None:
    keyring.unlink()
    way, why = find(archive)
    assert way is None
    assert f"there is no keyring {keyring} (apt-get install debian-archive-keyring), so it cannot be verified" in why
    taken = find(archive, insecure=True)[0]
    assert taken
    assert not taken.checked
    assert str(taken).endswith("with no signature checked")


def test_without_a_signature_it_is_refused_unless_that_is_asked_for(archive: Path, keyring: Path) -> None:
    (archive / "dists/squeeze/Release.gpg").unlink()
    assert find(archive)[0] is None
    taken = find(archive, insecure=True)[0]
    assert taken
    assert not taken.checked


def test_an_image_of_the_base_is_taken_only_where_that_is_asked_for(keyring: Path) -> None:
    asked: list[str] = []
    way, _ = mirror.find(OLD, "http://mirror.example", insecure=True, take_image=asked.append)
    assert (way, asked) == (Way(OLD.base, Mirror("http://mirror.example", "--mirror"), checked=False), [OLD.base])
    mirror.find(OLD, "/nowhere", insecure=False, take_image=asked.append)
    assert asked == [OLD.base]


def test_each_that_was_tried_says_why_it_failed(archive: Path, keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    way, why = find(archive / "none", insecure=True)
    assert way is None
    assert "the image debian/eol:squeeze: within Docker, its apt does not see the folder" in why
    assert f"mmdebstrap from copy://{archive}/none (named by --mirror): {archive}/none/dists/squeeze/Release is" in why
    monkeypatch.setattr(mirror, "ask", lambda *asked: (f"it has no {asked[1]}", False))
    _, tried = mirror.find(OLD, "", insecure=True, take_image=refuse)
    assert tried[0] == "the image debian/eol:squeeze: not here, and no registry gives debian/eol:squeeze"
    assert tried[1].endswith(": it has no squeeze")


def test_who_gets_nothing_is_told_how_to_go_on() -> None:
    refusal = mirror.refusal("1.6", OLD, ("one: why", "two: why"))
    assert refusal.exit_code == 4
    assert refusal.message.splitlines()[1:] == ["  one: why", "  two: why"]
    assert "Debian squeeze with corosync, asterisk" in refusal.message
    assert all(way in refusal.hint for way in ("--mirror URL", "--image IMAGE", "docker load", "images/README.md"))


def test_a_folder_is_no_mirror_for_what_is_installed_within_docker(archive: Path) -> None:
    with pytest.raises(UsageError, match="within Docker") as caught:
        builder.recipes(stack(), builder.Options(mirror=str(archive)))
    assert "http.server" in caught.value.hint
    assert builder.recipes(stack("1.6"), builder.Options(mirror=str(archive)))


# How mmdebstrap is called, and what it says


def test_signatures_are_checked_with_the_keyring_though_that_has_expired(tmp_path: Path) -> None:
    words = mmdebstrap.command(replace(OLD, keyring=str(tmp_path / "k.gpg")), "http://mirror.example", DPKG_OPTIONS)
    assert {f"--keyring={tmp_path}/k.gpg", "--skip=check/signed-by", "--include=corosync,asterisk"} <= set(words)
    assert not [word for word in words if "AllowUnauthenticated" in word or "AllowInsecure" in word]
    assert words[-3:] == ["squeeze", "-", "http://mirror.example"]


def test_where_nothing_is_checked_no_keyring_is_named() -> None:
    words = mmdebstrap.command(OLD, "", DPKG_OPTIONS, checked=False)
    assert [word for word in words if "AllowUnauthenticated" in word]
    assert not [word for word in words if "--keyring" in word]
    assert words[-2:] == ["squeeze", "-"]


def test_a_bare_system_is_checked_as_the_tools_do() -> None:
    words = mmdebstrap.command(System("sid"), "", DPKG_OPTIONS)
    assert "--dpkgopt=/dpkg.cfg" in words
    assert not [word for word in words if "keyring" in word or "gpgv" in word or "SHA1" in word or "include" in word]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "I: running apt-get update...\nErr:4 copy:/m squeeze/main Packages\n  Hash Sum mismatch\n"
            "E: Failed to fetch copy:/m/Packages  Hash Sum mismatch\n   Hashes of expected file:\n"
            "E: Some index files failed to download. They have been ignored, or old ones used instead.\n"
            "E: apt-get update --error-on=any failed\nE: mmdebstrap failed to run\n",
            ["Failed to fetch copy:/m/Packages  Hash Sum mismatch"],
        ),
        (
            "W: GPG error: copy:/m squeeze Release: The following signatures were invalid: BADSIG 5B Test\n"
            "E: The repository 'copy:/m squeeze Release' is not signed.\nE: apt-get update failed\n",
            [
                "copy:/m squeeze Release: The following signatures were invalid: BADSIG 5B Test",
                "The repository 'copy:/m squeeze Release' is not signed.",
            ],
        ),
        ("I: one\n\nI: two\n", ["I: one", "I: two"]),
        ("", ["it said nothing"]),
    ],
)
def test_why_mmdebstrap_failed_is_told_without_what_follows_from_it(said: str, why: list[str]) -> None:
    assert mmdebstrap.reason(said) == why


# What a stack may not say


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"phone": {"packages": ["sip-tester"]}}, "the phones cannot stand on squeeze too"),
        ({"phone": {"packages": ["sip-tester"], "suite": "squeeze"}}, "the phones cannot stand on squeeze too"),
        ({"module": {"source": "asterisk", "packages": ["gcc"]}}, "no module is compiled where a node comes at once"),
    ],
)
def test_what_an_old_apt_would_have_to_install_is_refused(values: dict[str, object], said: str) -> None:
    data = yaml.safe_load((images_folder() / "stacks/1.6.yaml").read_text("utf-8"))
    data["build"] |= values
    templates = [*data["files"].values(), *(t for extra in data["carriers"].values() for t in extra["files"].values())]
    with pytest.raises(InvalidFile, match=said):
        parse_stack(yaml.safe_dump(data), "mine.yaml", templates)
