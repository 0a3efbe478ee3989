"""Where old packages come from, what is refused unless it is asked for, and what is said of either."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.errors import HostError, InvalidFile, UsageError
from labctl.images import builder, mirror, mmdebstrap
from labctl.images.mirror import Mirror, Reply, Way
from labctl.images.recipes import System
from labctl.paths import images_folder
from labctl.stack.model import parse_stack
from tests import quick_yaml
from tests.unit.labs import stack

OLD = System("squeeze", "debian/eol:squeeze", ("corosync", "asterisk"), "removed.gpg")
DPKG_OPTIONS = Path("/dpkg.cfg")
ASK = images_folder() / f"builder/root/usr/local/sbin/{mirror.ASK}"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A mirror in a folder, signed to the eye."""
    (tmp_path / "dists/squeeze").mkdir(parents=True)
    for name in ("Release", "Release.gpg"):
        (tmp_path / "dists/squeeze" / name).touch()
    return tmp_path


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """The keyring that the system names."""
    (tmp_path / "removed.gpg").touch()
    return tmp_path / "removed.gpg"


def ask(suite: str, keyring: Path | str, given: str = "", scripts: Path | str = "/none") -> Reply:
    """What the builder's script learns of a mirror, on this machine."""
    tools = os.environ | {"ASK_SUITE_SCRIPTS": str(scripts)}
    done = subprocess.run([ASK, suite, keyring, given], capture_output=True, text=True, check=True, env=tools)
    return mirror.parse_reply(done.stdout)


def find(given: Path, keyring: Path, *, insecure: bool = False) -> tuple[Way | None, str]:
    """The way from a folder by what its builder learns of it."""
    return mirror.from_mirror(OLD, ask("squeeze", keyring, mirror.url(str(given))), insecure)


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
    assert mirror.question(OLD, given) == [mirror.ASK, "squeeze", "/usr/share/keyrings/removed.gpg", url]


def test_a_folder_is_found_from_where_labctl_is_run(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive.parent)
    assert mirror.url(archive.name) == f"copy://{archive}"
    assert mirror.folder(archive.name) == str(archive)
    assert mirror.folder("http://mirror.example") == ""


@pytest.mark.parametrize("suite", ["squeeze", "wheezy"])
def test_else_it_is_debootstrap_that_knows_by_suite_or_by_keyring(suite: str, tmp_path: Path, archive: Path) -> None:
    old = f"copy://{archive}"
    (archive / "dists/wheezy").symlink_to("squeeze")
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "etch").write_text(f"keyring /usr/share/keyrings/removed.gpg\n  default_mirror {old}\n")
    (scripts / "gutsy").write_text("keyring /usr/share/keyrings/other.gpg\ndefault_mirror copy:///none\n")
    (scripts / "sid").write_text("keyring /usr/share/keyrings/new.gpg\n")
    (scripts / "squeeze").symlink_to("etch")
    (scripts / "wheezy").symlink_to("sid")
    reply = ask(suite, "/usr/share/keyrings/removed.gpg", scripts=scripts)
    assert reply.mirror == Mirror(old, "debootstrap")
    assert reply.refusal == ""


# What is in reach


def test_a_folder_that_holds_the_suite_is_in_reach(archive: Path, keyring: Path) -> None:
    given = Mirror(f"copy://{archive}", "--mirror")
    assert ask("squeeze", keyring, given.url) == Reply(given, "", signed=True, keyring=True)
    (archive / "dists/squeeze/Release.gpg").unlink()
    assert ask("squeeze", keyring, given.url) == Reply(given, "", signed=False, keyring=True)
    assert ask("wheezy", keyring, given.url).refusal == f"{archive}/dists/wheezy/Release is not there"
    assert not ask("squeeze", archive / "none.gpg", given.url).keyring
    assert ask("squeeze", "", given.url).keyring


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("mirror=http://a.example\nnamed_by=--mirror\nrefused=404  Not Found\n", "404  Not Found"),
        (
            "mirror=\nnamed_by=mmdebstrap\nrefused=The repository 'x' does not have a Release file.\n",
            "it does not have",
        ),
        ("mirror=http://a.example\nnamed_by=--mirror\nsigned=yes\n", ""),
        ("exec: ask-suite: not found", "exec: ask-suite: not found"),
        ("", "no answer"),
    ],
)
def test_what_a_mirror_is_refused_for_is_told(text: str, refusal: str) -> None:
    assert mirror.parse_reply(text).refusal.startswith(refusal)
    assert bool(mirror.parse_reply(text).refusal) is bool(refusal)


# What is taken


def test_what_can_be_verified_is(archive: Path, keyring: Path) -> None:
    assert find(archive, keyring)[0] == Way("", Mirror(f"copy://{archive}", "--mirror"), checked=True)
    assert find(archive, keyring, insecure=True)[0] == find(archive, keyring)[0]


def test_without_its_keyring_it_is_refused_unless_that_is_asked_for(archive: Path, keyring: Path) -> None:
    keyring.unlink()
    way, why = find(archive, keyring)
    assert way is None
    assert "there is no keyring removed.gpg, so it cannot be verified" in why
    taken = find(archive, keyring, insecure=True)[0]
    assert taken
    assert not taken.checked
    assert str(taken).endswith("with no signature checked")


def test_without_a_signature_it_is_refused_unless_that_is_asked_for(archive: Path, keyring: Path) -> None:
    (archive / "dists/squeeze/Release.gpg").unlink()
    assert find(archive, keyring)[0] is None
    taken = find(archive, keyring, insecure=True)[0]
    assert taken
    assert not taken.checked


def test_an_image_of_the_base_is_taken_only_where_that_is_asked_for() -> None:
    asked: list[str] = []
    way, _ = mirror.from_image(OLD, "http://mirror.example", insecure=True, take_image=asked.append)
    assert (way, asked) == (Way(OLD.base, Mirror("http://mirror.example", "--mirror"), checked=False), [OLD.base])
    assert mirror.from_image(OLD, "", insecure=False, take_image=asked.append)[0] is None
    assert mirror.from_image(replace(OLD, architecture="i386"), "", insecure=True, take_image=asked.append)[0] is None
    assert asked == [OLD.base]


def test_each_that_was_tried_says_why_it_failed(archive: Path, keyring: Path) -> None:
    def refuse(reference: str) -> None:
        raise HostError(f"no registry gives {reference}")

    _, why = mirror.from_image(OLD, str(archive), insecure=True, take_image=refuse)
    assert "the image debian/eol:squeeze: within Docker, its apt does not see the folder" in why
    _, why = mirror.from_image(OLD, "", insecure=True, take_image=refuse)
    assert why == "the image debian/eol:squeeze: not here, and no registry gives debian/eol:squeeze"
    way, why = find(archive / "none", keyring, insecure=True)
    assert way is None
    assert f"mmdebstrap from copy://{archive}/none (named by --mirror): {archive}/none/dists/squeeze/Release is" in why


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


def test_signatures_are_checked_with_the_keyring_though_that_has_expired() -> None:
    words = mmdebstrap.whole_command(replace(OLD, keyring="/home/me/k.gpg"), "http://mirror.example")
    assert {f"--keyring={mmdebstrap.OWN_KEYRING}", "--skip=check/signed-by", "--include=corosync,asterisk"} <= set(
        words
    )
    assert any("gpgvnoexpkeysig" in word for word in words)
    assert not [word for word in words if "AllowUnauthenticated" in word or "AllowInsecure" in word]
    assert words[-3:] == ["squeeze", mmdebstrap.OUTPUT, "http://mirror.example"]


def test_debians_own_keyring_is_that_of_the_builder() -> None:
    assert "--keyring=/usr/share/keyrings/removed.gpg" in mmdebstrap.whole_command(OLD, "")


def test_where_nothing_is_checked_no_keyring_is_named() -> None:
    words = mmdebstrap.whole_command(OLD, "", checked=False)
    assert [word for word in words if "AllowUnauthenticated" in word]
    assert not [word for word in words if "--keyring" in word]
    assert words[-2:] == ["squeeze", mmdebstrap.OUTPUT]


def test_another_architecture_is_asked_for_by_name() -> None:
    assert "--architectures=i386" in mmdebstrap.whole_command(replace(OLD, architecture="i386"), "")
    assert not [word for word in mmdebstrap.whole_command(OLD, "") if "--architectures" in word]


def test_a_bare_system_is_checked_as_the_tools_do() -> None:
    words = mmdebstrap.bare_command(System("sid"), "", DPKG_OPTIONS)
    assert "--dpkgopt=/dpkg.cfg" in words
    assert not [word for word in words if "keyring" in word or "gpgv" in word or "SHA1" in word or "include" in word]


@pytest.mark.parametrize(
    ("output", "why"),
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
def test_why_mmdebstrap_failed_is_told_without_what_follows_from_it(output: str, why: list[str]) -> None:
    assert mmdebstrap.reason(output) == why


# What a stack may not say


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"phone": {"packages": ["sip-tester"]}}, "the phones cannot stand on squeeze too"),
        ({"phone": {"packages": ["sip-tester"], "suite": "squeeze"}}, "the phones cannot stand on squeeze too"),
        ({"module": {"source": "asterisk", "packages": ["gcc"]}}, "no module is compiled where a node comes at once"),
    ],
)
def test_what_an_old_apt_would_have_to_install_is_refused(values: dict[str, object], mistake: str) -> None:
    data = quick_yaml.load((images_folder() / "stacks/1.6.yaml").read_text("utf-8"))
    data["build"] |= values
    templates = [*data["files"].values(), *(t for extra in data["carriers"].values() for t in extra["files"].values())]
    with pytest.raises(InvalidFile, match=mistake):
        parse_stack(quick_yaml.dump(data), "mine.yaml", templates)
