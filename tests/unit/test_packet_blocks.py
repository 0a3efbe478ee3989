"""A capture that comes in pieces is cut into whole blocks, and into nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.cluster.packet_blocks import Block, BlockReader
from tests.unit.pcapng_files import interface, packet, section

NANOSECONDS, BINARY_MILLISECONDS = 9, 0x80 | 10
AT_NS = 1_795_718_300_825_137_904


def parts(order: str = "<") -> list[bytes]:
    """A file of two interfaces and three packets, block by block."""
    return [
        section(order),
        interface(NANOSECONDS, order),
        interface(order=order),
        packet(AT_NS, b"SIP/2.0", 0, order),
        packet(AT_NS // 1000 + 1, b"", 1, order),
        packet(AT_NS + 5_000, b"INVITE sip:102", 0, order),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@given(size=st.integers(1, 400))
def test_blocks_are_whole_however_the_bytes_come(order: str, size: int) -> None:
    data, reader = b"".join(parts(order)), BlockReader()
    blocks = [block for start in range(0, len(data), size) for block in reader.feed(data[start : start + size])]
    assert [block.data for block in blocks] == parts(order)
    assert [block.interface for block in blocks] == [-1, -1, -1, 0, 1, 0]
    assert [block.at_ns for block in blocks[3:]] == [AT_NS, (AT_NS // 1000 + 1) * 1000, AT_NS + 5_000]
    assert blocks[3].at_s == pytest.approx(AT_NS / 1e9)


def test_a_block_that_is_not_whole_is_none() -> None:
    reader, whole = BlockReader(), parts()
    assert [*reader.feed(b"".join(whole)[:-1])] == [*BlockReader().feed(b"".join(whole[:-1]))]


def test_units_of_time_are_of_each_interface() -> None:
    data = section() + interface(BINARY_MILLISECONDS) + packet(2048)
    assert [*BlockReader().feed(data)][-1] == Block(packet(2048), 0, 2_000_000_000)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "no pcapng"),  # pcap's own magic
        (b"tcpdump: no such device", "no pcapng"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "no pcapng"),
        (section() + b"\x06\0\0\0\x04\0\0\0" + bytes(8), "a block of 4 bytes"),
        (section() + b"\x06\0\0\0\xff\xff\xff\x7f" + bytes(8), "a block of 2147483647 bytes"),
    ],
)
def test_what_is_no_pcapng_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        [*BlockReader().feed(data)]
