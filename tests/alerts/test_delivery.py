"""Deliveries to real pipes, files and disks."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from full_disk import largest_file, small_disk

from baseline.alerts.delivery import Delivery
from baseline.alerts.destinations import FileDestination, StreamDestination
from baseline.errors import OutputError, UsageError


class Said(list[str]):
    """What a user was told; a thread may wait for more of it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, message: str) -> None:
        with self._changed:
            self.append(message)
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Return when there are so many."""
        with self._changed:
            self._changed.wait_for(lambda: len(self) >= number)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, the reader first."""
    ours, theirs = os.pipe()
    yield ours, theirs
    for end in (ours, theirs):
        with suppress(OSError):  # the test closed it
            os.close(end)


def line(number: int, length: int = 100) -> str:
    return json.dumps({"id": number, "text": "x" * length}) + "\n"


def numbers(content: bytes) -> list[int]:
    return [json.loads(text)["id"] for text in content.splitlines()]


def read_lines(descriptor: int, count: int) -> bytes:
    content = b""
    while content.count(b"\n") < count:
        content += os.read(descriptor, 1 << 16)
    return content


def read_what_is_there(descriptor: int) -> bytes:
    content = b""
    with suppress(BlockingIOError):
        while True:
            content += os.read(descriptor, 1 << 16)
    return content


def test_alerts_arrive_in_their_order(said: Said, pipe: tuple[int, int]) -> None:
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    for number in range(100):
        delivery.put(line(number))
    assert numbers(read_lines(pipe[0], 100)) == list(range(100))
    delivery.close()
    assert (delivery.undelivered, said) == (0, [])


def test_a_reader_that_sleeps_holds_up_nobody(said: Said, pipe: tuple[int, int]) -> None:
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said, room=1 << 20)
    for number in range(4000):  # far more than a pipe and the queue hold; returns all the same
        delivery.put(line(number, 1000))
    assert said == [
        "Too many alerts wait for the pipe: new ones are left out until those are written."
    ]
    left_out = delivery.undelivered
    os.set_blocking(pipe[0], False)
    content = b""
    while len(said) < 2:  # the reader wakes up
        content += read_what_is_there(pipe[0])
    content += read_what_is_there(pipe[0])
    os.set_blocking(pipe[0], True)
    arrived = numbers(content)
    # The first ones, not the last ones, and whatever found room when the first went into the pipe.
    assert arrived[:1000] == list(range(1000))
    assert arrived == sorted(set(arrived))
    assert said[1] == (
        f"Alerts are written to the pipe again; {4000 - len(arrived):,} were left out."
    )
    assert left_out >= 4000 - len(arrived)
    delivery.put(line(4000))
    assert numbers(read_lines(pipe[0], 1)) == [4000]
    delivery.close()
    assert delivery.undelivered == 4000 - len(arrived)
    assert len(said) == 2


def test_the_end_does_not_wait_for_a_reader_that_sleeps(said: Said, pipe: tuple[int, int]) -> None:
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    for number in range(200):
        delivery.put(line(number, 10_000))
    delivery.close(seconds=0.1)
    assert 0 < delivery.undelivered < 200
    os.close(pipe[0])
    said.wait_for(1)  # or its thread would write to the pipe of the next test


def test_what_has_arrived_is_known(said: Said, pipe: tuple[int, int]) -> None:
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    assert delivery.has_delivered()
    delivery.put(line(0, 1 << 20))
    assert not delivery.has_delivered()
    read_lines(pipe[0], 1)
    while not delivery.has_delivered():
        pass
    os.close(pipe[0])
    delivery.put(line(2))
    said.wait_for(1)
    assert delivery.has_delivered(), "nothing of it will ever arrive"


def test_a_reader_that_left_is_said_once_and_its_alerts_are_counted(
    said: Said, pipe: tuple[int, int]
) -> None:
    os.close(pipe[0])
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    delivery.put(line(0))
    said.wait_for(1)
    delivery.put(line(1))
    delivery.put(line(2))
    delivery.close()
    assert delivery.undelivered == 3
    assert said == ["Nobody reads the pipe any more: its alerts are only counted from now on."]


def test_a_stream_that_does_not_wait_is_waited_for(said: Said, pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    for number in range(300):
        delivery.put(line(number, 1000))
    assert numbers(read_lines(pipe[0], 300)) == list(range(300))
    delivery.close()
    assert (delivery.undelivered, said) == (0, [])


def test_text_that_is_no_unicode_is_delivered(said: Said, pipe: tuple[int, int]) -> None:
    delivery = Delivery(StreamDestination(pipe[1], "the pipe"), said)
    delivery.put("größe \udcff\n")
    assert os.read(pipe[0], 100) == "größe \\udcff\n".encode()
    delivery.close()


@pytest.mark.parametrize("by_name", [True, False])
def test_a_disk_that_is_full_for_a_while(said: Said, tmp_path: Path, by_name: bool) -> None:
    with small_disk(tmp_path, 1 << 20) as disk:
        file = disk.folder / "alerts.jsonl"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        delivery = Delivery(
            FileDestination(file) if by_name else StreamDestination(descriptor, "the file"),
            said,
            retry_seconds=0.01,
        )
        for number in range(3):
            delivery.put(line(number))
        while numbers(file.read_bytes()) != [0, 1, 2]:
            pass
        disk.fill(leaving=3000)
        delivery.put(line(3, 10_000))  # only the beginning of it has room
        delivery.put(line(4))
        said.wait_for(1)
        name = file if by_name else "the file"
        assert said == [
            f"Alerts cannot be written to {name}: No space left on device. "
            "They wait, and it is tried again."
        ]
        if by_name:  # nobody sees half a line
            assert numbers(file.read_bytes()) == [0, 1, 2]
        disk.free()
        said.wait_for(2)
        delivery.close()
        assert said[1:] == [f"Alerts are written to {name} again."]
        assert numbers(file.read_bytes()) == [0, 1, 2, 3, 4]
        assert delivery.undelivered == 0
        os.close(descriptor)


def test_a_disk_that_is_read_only_for_a_while(said: Said, tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 20) as disk:
        file = disk.folder / "alerts.jsonl"
        delivery = Delivery(FileDestination(file), said, retry_seconds=0.01)
        delivery.put(line(0))
        while not file.exists() or numbers(file.read_bytes()) != [0]:
            pass
        disk.remount("ro")  # possible, because nothing is kept open
        delivery.put(line(1))
        said.wait_for(1)
        assert "Read-only file system" in said[0]
        disk.remount("rw")
        said.wait_for(2)
        delivery.close()
        assert numbers(file.read_bytes()) == [0, 1]


def test_what_the_end_finds_on_a_full_disk_is_undelivered(said: Said, tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 20) as disk:
        delivery = Delivery(FileDestination(disk.folder / "alerts.jsonl"), said)
        disk.fill()
        delivery.put(line(0))
        delivery.put(line(1))
        delivery.close()
        assert delivery.undelivered == 2
        assert len(said) == 1


def test_a_file_is_private_and_follows_its_name(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    destination = FileDestination(file)
    os.umask(0)
    try:
        destination.write(b'{"id": 0}\n')
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.rename(tmp_path / "alerts.jsonl.1")
        destination.write(b'{"id": 1}\n')
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(0o022)
    assert (tmp_path / "alerts.jsonl.1").read_bytes() == b'{"id": 0}\n'
    assert file.read_bytes() == b'{"id": 1}\n'
    os.truncate(file, 0)  # as copytruncate does
    destination.write(b'{"id": 2}\n')
    file.unlink()
    destination.write(b'{"id": 3}\n')
    assert file.read_bytes() == b'{"id": 3}\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"id": 0}\n{"id": 1, "te', b'{"id": 0}\n{"id": 2}\n'),
        (b'{"id": 1, "te', b'{"id": 2}\n'),
        (b'{"id": 0}\n{"id": 1}', b'{"id": 0}\n{"id": 1}\n{"id": 2}\n'),
        (b"my notes", b'my notes\n{"id": 2}\n'),
        (b'{"id": 0}\n', b'{"id": 0}\n{"id": 2}\n'),
    ],
)
def test_a_torn_line_is_cut_and_nothing_else(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / "alerts").write_bytes(before)
    FileDestination(tmp_path / "alerts").write(b'{"id": 2}\n')
    assert (tmp_path / "alerts").read_bytes() == after


def test_a_line_without_room_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    destination = FileDestination(tmp_path / "alerts")
    destination.write(b'{"id": 0}\n')
    with pytest.raises(OSError, match="File too large"), largest_file(15):
        destination.write(b'{"id": 1}\n')
    assert (tmp_path / "alerts").read_bytes() == b'{"id": 0}\n'


def test_two_writers_do_not_tear_each_others_lines(tmp_path: Path, said: Said) -> None:
    file = tmp_path / "alerts"
    deliveries = [Delivery(FileDestination(file), said) for _ in range(2)]
    for number in range(50):
        for delivery in deliveries:
            delivery.put(line(number, 10_000))
    for delivery in deliveries:
        delivery.close(60)
    assert sorted(numbers(file.read_bytes())) == sorted([*range(50)] * 2)


def test_what_can_never_be_written_is_refused_at_once(tmp_path: Path) -> None:
    FileDestination(tmp_path / "fine").require()
    assert (tmp_path / "fine").read_bytes() == b""
    with pytest.raises(OutputError, match="No such file"):
        FileDestination(tmp_path / "no" / "alerts").require()
    with pytest.raises(UsageError, match="no regular file"):
        FileDestination(tmp_path).require()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="no regular file"):
        FileDestination(tmp_path / "fifo").require()


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 20) as disk:
        disk.fill()
        destination = FileDestination(disk.folder / "alerts")
        destination.require()
        disk.free()
        destination.write(b'{"id": 0}\n')
