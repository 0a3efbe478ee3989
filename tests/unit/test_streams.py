"""What engine.streams takes from docker-py's private parts: docker-py itself, on an engine that answers by script."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from docker.api.client import APIClient

from labctl.engine.actions import RemoveNetwork
from labctl.engine.client import Engine
from labctl.engine.commands import NO_EXIT_CODE, Output
from labctl.engine.streams import FRAME_HEAD, PIECE_BYTES, lines, split_stamp
from labctl.errors import HostError, UsageError

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
LOGS = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STDOUT, STDERR = 1, 2

Script = Callable[[str, socket.socket], None]


def reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def frame(stream: int, data: bytes) -> bytes:
    return FRAME_HEAD.pack(stream, len(data)) + data


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def serve(server: socket.socket, script: Script) -> None:
    """Answer every request on every connection as the script says, until the server's socket is closed."""

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while first := reader.readline():
                length = 0
                while (line := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                reader.read(length)
                script(first.decode().split()[1], connection)

    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[[Script], Engine]]:
    """An engine that answers by script, over a real socket and through the real docker-py."""
    path = tmp_path / "docker.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    clients: list[APIClient] = []

    def engine(script: Script) -> Engine:
        threading.Thread(target=serve, args=(server, script), daemon=True).start()
        clients.append(APIClient(f"unix://{path}", version="1.41", timeout=60))
        return Engine(clients[0])

    yield engine
    for client in clients:
        client.close()
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_output_that_comes_together_with_the_head_of_the_reply_is_not_lost(
    scripted: Callable[[Script], Engine],
) -> None:
    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/start"):
            connection.sendall(UPGRADED + frame(STDOUT, b"first") + frame(STDERR, b"left out"))
            connection.sendall(frame(STDOUT, connection.recv(100)))
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(reply(b'{"Id": "one"}'))

    with closing(scripted(script).open_stream("n1", ["cat"])) as stream:
        output = iter(stream)
        assert next(output) == b"first"
        stream.send(b"typed")
        assert list(output) == [b"typed"]


def test_what_a_command_prints_is_whole_also_what_comes_together_with_the_head(
    scripted: Callable[[Script], Engine],
) -> None:
    """The first of it was lost, with code 0: a busy machine reads the head late, and more with it."""
    said = b"first\n" * 4000

    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/start"):
            connection.sendall(UPGRADED + frame(STDOUT, b"before\n") + frame(STDERR, said))
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(reply(b'{"Id": "one", "ExitCode": 0}'))

    assert scripted(script).run("n1", ["cat"]) == Output(0, "before\n" + said.decode())


def test_a_command_that_an_engine_could_not_hand_on_is_refused(scripted: Callable[[Script], Engine]) -> None:
    """Of 100 kB it and runc waited for each other for good, and whatever was to run in that container later."""
    engine = scripted(lambda _path, _connection: pytest.fail("it was asked"))
    for start in (engine.run, engine.open_stream):
        with pytest.raises(UsageError, match="longer than 49152"):
            start("n1", ["true", "x" * 50_000])


@pytest.mark.parametrize("kept", [3, 12])
def test_a_command_whose_output_breaks_off_has_no_answer(scripted: Callable[[Script], Engine], kept: int) -> None:
    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/start"):
            connection.sendall(UPGRADED + frame(STDOUT, b"whole\n") + frame(STDOUT, b"cut off\n")[:kept])
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(reply(b'{"Id": "one", "ExitCode": 0}'))

    with pytest.raises(HostError, match="broke off"):
        scripted(script).run("n1", ["cat"])


def test_a_command_that_is_hung_up_on_ends_its_reader_and_sees_the_end_of_its_input(
    scripted: Callable[[Script], Engine],
) -> None:
    input_ended = threading.Event()

    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/start"):
            connection.sendall(UPGRADED + frame(STDOUT, b"first"))
            assert connection.recv(100) == b""
            input_ended.set()
        else:
            connection.sendall(reply(b'{"Id": "one"}'))

    stream = scripted(script).open_stream("n1", ["cat"])
    output = iter(stream)
    assert next(output) == b"first"
    rest: list[bytes] = []
    reader = threading.Thread(target=lambda: rest.extend(output))
    reader.start()
    stream.close()
    reader.join(timeout=60)
    assert (reader.is_alive(), rest, input_ended.wait(60)) == (False, [], True)


def test_a_log_that_is_closed_ends_its_reader(scripted: Callable[[Script], Engine]) -> None:
    hung_up = threading.Event()

    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/json"):
            connection.sendall(reply(b'{"Config": {"Tty": false}}'))
            return
        connection.sendall(LOGS + chunk(frame(STDOUT, b"line\n")))
        connection.recv(100)
        hung_up.set()

    stream = scripted(script).follow_logs("n1")
    output = iter(stream)
    assert next(output) == b"line\n"
    rest: list[bytes] = []
    reader = threading.Thread(target=lambda: rest.extend(output))
    reader.start()
    stream.close()
    reader.join(timeout=60)
    assert (reader.is_alive(), rest, hung_up.wait(60)) == (False, [], True)


def test_a_line_of_a_log_may_come_in_pieces_also_within_a_character(scripted: Callable[[Script], Engine]) -> None:
    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/json"):
            connection.sendall(reply(b'{"Config": {"Tty": false}}'))
            return
        line = "für\nalle".encode()
        pieces = b"".join(chunk(frame(STDOUT, piece)) for piece in (line[:2], line[2:]))
        connection.sendall(LOGS + pieces + b"0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)

    assert list(lines(scripted(script).follow_logs("n1"))) == ["für", "alle"]


def test_a_long_line_is_one_though_the_engine_keeps_it_in_pieces() -> None:
    stamp = "2026-11-28T00:26:28.900000000Z"
    pieces = ["-" * PIECE_BYTES, "-" * PIECE_BYTES, "end"]
    assert split_stamp("".join(f"{stamp} {piece}" for piece in pieces)) == (stamp, "".join(pieces))
    assert split_stamp(f"{stamp} said at {stamp} again") == (stamp, f"said at {stamp} again")


def test_how_long_ago_is_by_the_clock_of_the_engine(scripted: Callable[[Script], Engine]) -> None:
    asked: list[str] = []

    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/info"):
            connection.sendall(reply(b'{"SystemTime": "2020-01-01T00:01:00.123456789Z"}'))
        elif path.endswith("/json"):
            connection.sendall(reply(b'{"Config": {"Tty": false}}'))
        else:
            asked.append(path)
            connection.sendall(LOGS + b"0\r\n\r\n")

    assert scripted(script).logs("n1", ago_s=60) == ""
    assert "since=1577836800&" in f"{asked[0]}&"


def test_a_lock_is_waited_for_by_the_clock_of_the_engine(scripted: Callable[[Script], Engine]) -> None:
    asked: list[str] = []

    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/info"):
            connection.sendall(reply(b'{"SystemTime": "2020-01-01T00:01:00.123456789Z"}'))
        else:
            asked.append(path)
            connection.sendall(LOGS + b"0\r\n\r\n")

    scripted(script).locks.await_release("lab", 60)
    assert {"since=1577836859", "until=1577836920"} <= {*asked[0].partition("?")[2].split("&")}


def test_a_command_whose_container_ended_first_has_not_succeeded(scripted: Callable[[Script], Engine]) -> None:
    def script(path: str, connection: socket.socket) -> None:
        if path.endswith("/start"):
            connection.sendall(UPGRADED)
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(reply(b'{"Id": "one", "ExitCode": null}'))

    assert scripted(script).run("n1", ["true"]) == Output(NO_EXIT_CODE, "")


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"])
def test_an_engine_that_goes_away_amid_an_answer_is_an_error_of_the_host(
    scripted: Callable[[Script], Engine], words: bytes
) -> None:
    def script(path: str, connection: socket.socket) -> None:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_RDWR)

    engine = scripted(script)
    for ask in (engine.observe, engine.info, engine.images, lambda: engine.run("n1", ["true"])):
        with pytest.raises(HostError) as refusal:
            ask()
        assert "labctl doctor" in refusal.value.hint


def test_an_engine_that_goes_away_amid_its_events_ends_them(
    scripted: Callable[[Script], Engine],
) -> None:
    def script(path: str, connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + chunk(b'{"Actor": {"Attributes": {"name": "n1"}}}\n') + b"5\r\nha")
        connection.shutdown(socket.SHUT_RDWR)

    assert list(scripted(script).starts("lab")) == ["n1"]


def test_whoever_waits_for_what_starts_goes_on_when_that_is_closed(scripted: Callable[[Script], Engine]) -> None:
    over = threading.Event()

    def script(path: str, connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + chunk(b'{"Actor": {"Attributes": {"name": "n1"}}}\n'))
        over.wait(30.0)

    starts = scripted(script).starts("lab")
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for name in starts:
            heard.put(name)

    reader = threading.Thread(target=read)
    reader.start()
    assert heard.get(timeout=30.0) == "n1"
    starts.close()
    reader.join(30.0)
    ended = not reader.is_alive()
    over.set()
    assert ended


def refusing(times: int, guests: bytes, done: list[str]) -> Script:
    """An engine that refuses to remove a network so often, for it counts an endpoint of `guest`."""

    def script(path: str, connection: socket.socket) -> None:
        name = path.partition("/v1.41/")[2].partition("?")[0]
        asked_before = done.count(name)
        done.append(name)
        if name == "containers/json":
            connection.sendall(reply(guests))
        elif name == "networks/id1/disconnect":
            connection.sendall(reply(b"{}"))
        elif done[-2:-1] == ["containers/json"] or not asked_before or done[-2] == "networks/id1/disconnect":
            refusals = sum(entry == "refused" for entry in done)
            if refusals < times:
                done.append("refused")
                connection.sendall(REFUSAL)
            else:
                connection.sendall(reply(b"{}"))
        else:
            connection.sendall(reply(b'{"Containers": {"c2": {"Name": "guest"}}}'))

    return script


REFUSED = b'{"message": "error while removing network: network labctl-a has active endpoints"}'
REFUSAL = (
    f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(REFUSED)}\r\n\r\n".encode()
    + REFUSED
)


@pytest.mark.long
def test_an_endpoint_that_the_engine_leaked_is_taken_away_by_force(scripted: Callable[[Script], Engine]) -> None:
    done: list[str] = []
    scripted(refusing(1, b"[]", done)).apply(RemoveNetwork("labctl-a", "id1"))
    assert "networks/id1/disconnect" in done


def test_a_network_whose_leaked_endpoints_stay_says_which_and_the_way_out(
    scripted: Callable[[Script], Engine],
) -> None:
    with pytest.raises(HostError, match=r"endpoints of containers that are gone \(guest\)") as refusal:
        scripted(refusing(2, b"[]", [])).apply(RemoveNetwork("labctl-a", "id1"))
    assert "docker network disconnect --force labctl-a guest" in refusal.value.hint


IN_USE = b'{"message": "rpc error: code = FailedPrecondition desc = network id1 is in use by task t1"}'
BUSY = (
    f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(IN_USE)}\r\n\r\n".encode()
    + IN_USE
)


def test_a_network_of_a_swarm_whose_tasks_are_about_to_end_is_taken_away_when_they_have(
    scripted: Callable[[Script], Engine],
) -> None:
    """`down` over hosts ended with exit code 4 where a manager did not know yet that the last container was gone."""
    asked: list[str] = []

    def script(path: str, connection: socket.socket) -> None:
        asked.append(path)
        connection.sendall(BUSY if len(asked) < 3 else reply(b"{}"))

    scripted(script).apply(RemoveNetwork("labctl-a", "id1"))
    assert len(asked) == 3


def test_a_task_that_does_not_end_is_told(
    scripted: Callable[[Script], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.engine.networks.TASKS_END_S", 0.01)
    with pytest.raises(HostError, match="is in use by task t1") as refusal:
        scripted(lambda _path, connection: connection.sendall(BUSY)).apply(RemoveNetwork("labctl-a", "id1"))
    assert "docker node rm --force" in refusal.value.hint


def test_what_is_not_the_labs_stays_connected(scripted: Callable[[Script], Engine]) -> None:
    done: list[str] = []
    with pytest.raises(HostError, match=r"containers that are not the lab's are connected to it: guest"):
        scripted(refusing(2, b'[{"Id": "c2", "Names": ["/guest"]}]', done)).apply(RemoveNetwork("labctl-a", "id1"))
    assert "networks/id1/disconnect" not in done


def test_a_character_that_comes_in_two_pieces_stays_whole() -> None:
    data = "Grüße\nan alle".encode()
    assert [*lines(bytes([byte]) for byte in data)] == ["Grüße", "an alle"]
