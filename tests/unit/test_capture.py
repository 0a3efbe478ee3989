"""Captures are read as tshark reads them: link layers, fragments, streams; each message once; hostile ones refused."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl import cli
from labctl.capture.messages import CaptureContents, Message, read
from labctl.errors import InvalidFile
from tests.unit import wire
from tests.unit.hostile_captures import HOSTILE, hostile
from tests.unit.labs import DATA
from tests.unit.wire import ALICE, BOB, COOKED, COOKED_2, N1, N2, RAW, T0_S

REAL = DATA / "captures-wire" / "three-nodes.pcapng"
OPTIONS = wire.sip("OPTIONS sip:n1 SIP/2.0", cseq="1 OPTIONS")
IN_IPV4 = wire.ipv4(ALICE, N1, 17, wire.udp(ALICE, N1, OPTIONS))
V6_ALICE, V6_N1 = ("2001:db8::9", 6000), ("2001:db8::11", 5060)
IN_IPV6 = wire.ipv6(V6_ALICE, V6_N1, 17, wire.udp(V6_ALICE, V6_N1, OPTIONS))


def told(data: bytes) -> CaptureContents:
    return read(data, "test.pcapng")


def texts(data: bytes) -> list[bytes]:
    return [message.text.encode() for message in told(data).messages]


def as_tshark(message: Message) -> list[str]:
    """The fields of tshark that the file beside the capture has, in its order."""
    sip = message.sip
    ends = (part for end in (message.source, message.target) for part in (end.address, str(end.port)))
    status = str(sip.status) if sip.status else ""
    words = [sip.method, status, sip.header("Call-ID"), sip.header("CSeq"), str(message.again)]
    return [str(message.frame), f"{message.at_s:.5f}", *ends, *words]


def test_real_calls_are_read_as_tshark_reads_them_message_by_message() -> None:
    """Registrations, a call with hold, one that is cancelled, busy, unknown, watched; two messages were sent again."""
    lines = REAL.with_suffix(".tshark.txt").read_text("utf-8").splitlines()
    wanted = [line.split("\t") for line in lines]
    for fields in wanted:
        fields[1] = f"{float(fields[1]):.5f}"
    assert [as_tshark(message) for message in told(REAL.read_bytes()).messages] == wanted
    assert len(wanted) == 156
    assert [fields[0] for fields in wanted if fields[-1] == "True"] == ["4", "7"]


@pytest.mark.parametrize(
    "data",
    [
        wire.pcapng([wire.ethernet(IN_IPV4)]),
        wire.pcapng([wire.ethernet(IN_IPV4, b"\x81\x00\x00\x01")]),
        wire.pcapng([wire.ethernet(IN_IPV4, b"\x88\xa8\x00\x01\x81\x00\x00\x02")]),
        wire.pcapng([wire.ethernet(IN_IPV6)]),
        wire.pcapng([wire.cooked(IN_IPV4)], COOKED),
        wire.pcapng([wire.cooked_2(IN_IPV4)], COOKED_2),
        wire.pcapng([IN_IPV4], RAW),
        wire.pcapng([IN_IPV6], RAW),
        wire.pcapng([struct.pack("<I", 2) + IN_IPV4], 0),
        wire.pcap([wire.ethernet(IN_IPV4)]),
        wire.pcap([wire.ethernet(IN_IPV4)], order=">"),
        wire.pcapng([wire.ethernet(IN_IPV4 + b"padding of a short frame")]),
    ],
)
def test_every_kind_of_link_and_file(data: bytes) -> None:
    assert texts(data) == [OPTIONS]
    assert told(data).messages[0].at_s == pytest.approx(T0_S)
    assert told(data).messages[0].source.port == 6000


def section(order: str, begin_s: float) -> bytes:
    """Three interfaces: one in nanoseconds, one in parts of 1024, one whose times begin at 1000; a packet of each."""
    options = [
        (struct.pack(f"{order}HHB3x", 9, 1, 9), 10**9, 0),
        (struct.pack(f"{order}HHB3x", 9, 1, 0x8A), 1024, 0),
        (struct.pack(f"{order}HHq", 14, 8, 1000), 10**6, 1000),
    ]
    interfaces = [wire.interface(options=option, order=order) for option, _, _ in options]
    packets = [
        wire.enhanced(wire.ethernet(IN_IPV4), begin_s + index - offset_s, index, order, parts)
        for index, (_, parts, offset_s) in enumerate(options)
    ]
    return b"".join([wire.section(order), *interfaces, wire.block(0x0BAD, b"unknown", order), *packets])


def test_interfaces_have_clocks_of_their_own_and_sections_an_order_of_bytes() -> None:
    seen = told(section("<", T0_S) + section(">", T0_S + 3)).messages
    assert [message.at_s - T0_S for message in seen] == pytest.approx([0, 1, 2, 3, 4, 5], abs=1e-5)


@pytest.mark.parametrize("turn", [1, -1])
def test_fragments_are_put_together_in_any_order(turn: int) -> None:
    message = wire.sip("OPTIONS sip:n1 SIP/2.0", cseq="1 OPTIONS", body="x" * 4000)
    pieces = wire.fragments(ALICE, N1, wire.udp(ALICE, N1, message), 1480)
    assert len(pieces) == 3
    assert texts(wire.pcapng([wire.ethernet(piece) for piece in pieces[::turn]])) == [message]
    assert texts(wire.pcapng([wire.ethernet(piece) for piece in pieces[:-1]])) == []


def segments(stream: bytes, size: int) -> list[bytes]:
    starts = range(0, len(stream), size)
    return [
        wire.ethernet(wire.ipv4(ALICE, N1, 6, wire.tcp(ALICE, N1, 2**32 - 50 + at, stream[at : at + size])))
        for at in starts
    ]


@pytest.mark.parametrize("size", [60, 100, 100_000])
def test_messages_of_a_stream_are_told_apart_by_their_lengths(size: int) -> None:
    messages = [wire.sip("OPTIONS sip:n1 SIP/2.0", cseq=f"{number} OPTIONS", body="x" * 90) for number in range(5)]
    cut_up = segments(b"\r\n\r\n".join(messages), size)
    data = wire.pcapng(cut_up)
    assert texts(data) == messages
    assert {message.transport for message in told(data).messages} == {"TCP"}


def test_segments_that_come_twice_or_late() -> None:
    messages = [wire.sip("OPTIONS sip:n1 SIP/2.0", cseq=f"{number} OPTIONS") for number in range(9)]
    whole = segments(b"".join(messages), len(messages[0]) // 2 + 1)
    assert texts(wire.pcapng([whole[0], whole[0], *whole[2:4], whole[1], *whole[4:]])) == messages


def test_after_a_segment_that_is_lost_a_stream_is_read_again() -> None:
    messages = [wire.sip("OPTIONS sip:n1 SIP/2.0", cseq=f"{number} OPTIONS") for number in range(100, 250)]
    whole = segments(b"".join(messages), len(messages[0]))
    found = texts(wire.pcapng([*whole[:10], *whole[11:]]))
    assert found[:10] == messages[:10]
    assert found[-80:] == messages[-80:]


def test_a_packet_that_two_places_saw_is_one_message_and_one_sent_twice_is_two() -> None:
    """Node 1, node 2 and a bridge each see it, a millisecond apart; half a second later it is sent again."""
    data = wire.ethernet(IN_IPV4)
    sights = [(0, 0.0), (1, 0.001), (2, 0.002), (0, 0.5), (1, 0.501), (2, 0.502), (0, 0.6), (0, 0.6001)]
    blocks = [wire.enhanced(data, T0_S + after_s, index) for index, after_s in sights]
    seen = told(b"".join([wire.section(), wire.interface() * 3, *blocks])).messages
    assert [round(message.at_s - T0_S, 3) for message in seen] == [0, 0.5, 0.6, 0.6]
    assert [message.again for message in seen] == [False, True, True, True]


def test_on_any_a_packet_comes_by_several_interfaces_of_the_machine() -> None:
    frames = [wire.cooked_2(IN_IPV4, interface, kind) for interface, kind in ((3, 3), (2, 3), (4, 4))]
    assert len(texts(wire.pcapng(frames, COOKED_2, 0.0001))) == 1
    assert len(texts(wire.pcapng([wire.cooked(IN_IPV4, kind) for kind in (0, 4)], COOKED, 0.0001))) == 1


def test_what_is_no_sip_is_counted() -> None:
    rtp = b"\x80\x00" + bytes(30)
    packets = [
        wire.frame(N1, N2, b"anything"),
        wire.frame(("198.18.7.11", 4520), ("198.18.7.12", 4520), b"d"),
        wire.frame(("198.18.7.11", 5404), ("198.18.7.12", 5405), b"t"),
        wire.frame(("198.18.7.9", 20000), ("198.18.7.11", 10000), rtp),
        wire.frame(("198.18.7.9", 20001), ("198.18.7.11", 10001), b"\x80\xc8" + bytes(20)),
        wire.frame(ALICE, N1, OPTIONS),
        wire.ethernet(bytes([0x45]) + bytes(30)),
    ]
    wanted = {"other": 2, "DUNDi": 1, "Totem": 1, "RTP": 1, "RTCP": 1, "SIP": 1}
    assert told(wire.pcapng(packets)).counts == wanted


def test_a_message_that_was_not_kept_whole_says_so() -> None:
    data = wire.ethernet(IN_IPV4)[:-20]
    assert [message.cut for message in told(wire.pcapng([data])).messages] == [True]


def test_short_and_folded_headers() -> None:
    text = b"OPTIONS sip:n1 SIP/2.0\r\ni: abc\r\nf: <sip:a@b>\r\nsubject: one\r\n  two\r\nCSeq: 1 OPTIONS\r\n\r\n"
    sip = told(wire.pcapng([wire.frame(ALICE, N1, text)])).messages[0].sip
    assert (sip.header("Call-ID"), sip.header("From"), sip.header("Subject")) == ("abc", "<sip:a@b>", "one two")


@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_capture_ends_with_exit_code_2(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hostile.pcapng"
    path.write_bytes(hostile(name))
    with pytest.raises(SystemExit) as ended:
        cli.main(["ladder", str(path)])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "Traceback" not in said.err
    assert "hostile.pcapng" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.pcapng"]


def test_there_are_hostile_captures_of_every_kind() -> None:
    assert len(HOSTILE) >= 60


def test_what_was_whole_before_a_file_breaks_off_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.pcapng"
    path.write_bytes(wire.pcapng(wire.frames(wire.setup()))[:-10])
    with pytest.raises(SystemExit) as ended:
        cli.main(["ladder", str(path)])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert len(re.findall(r"[│─ ] INVITE (?!  )", said.out)) == 4
    assert "it cannot be read to its end: byte" in said.err


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276, 500]))
def test_any_packet_of_any_link_is_read_or_passed_over(data: bytes, link: int) -> None:
    capture = told(wire.pcapng([data, wire.ethernet(IN_IPV4)], link))
    assert sum(capture.counts.values()) == 2


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_capture_with_wrong_bytes_anywhere_is_read_or_refused(at: int, wrong: bytes) -> None:
    data = wire.pcapng(wire.frames(wire.setup()))
    with suppress(InvalidFile):
        assert sum(told(data[:at] + wrong + data[at + len(wrong) :]).counts.values()) <= len(wire.setup())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=500))
def test_any_text_behind_a_first_line_is_a_message(rest: bytes) -> None:
    message = b"INVITE sip:102@n1 SIP/2.0\r\n" + rest
    assert len(told(wire.pcapng([wire.frame(ALICE, BOB, message)])).messages) == 1
