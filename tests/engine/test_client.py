"""The stream of a docker exec, taken apart."""

import gc
import gzip
import http.client
import io
import socket
import struct
import tarfile
import time
import tracemalloc

import pytest

from lab.engine.client import Engine, ExecStream, joined, unpacked
from lab.errors import EnvironmentFailure


def chunk(stream, data):
    return struct.pack(">BxxxL", stream, len(data)) + data


WIRE = chunk(1, b"hello ") + chunk(2, b"complaint") + chunk(1, b"") + chunk(1, b"world")


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.mark.parametrize("step", [1, 3, 7, 8, 9, len(WIRE)])
@pytest.mark.parametrize("limit", [1, 4, 65_536])
def test_stdout_comes_out_however_it_was_cut(ends, step, limit):
    here, there = ends
    stream = ExecStream(here)
    received = b""
    for start in range(0, len(WIRE), step):
        there.sendall(WIRE[start : start + step])
    there.shutdown(socket.SHUT_WR)
    while part := stream.recv(limit):
        assert len(part) <= limit
        received += part
    assert received == b"hello world"
    assert stream.complaint == b"complaint"


def test_what_is_sent_goes_out_as_it_is(ends):
    here, there = ends
    assert ExecStream(here).send(b"abc") == 3
    assert there.recv(10) == b"abc"


def test_a_deadline_holds(ends):
    stream = ExecStream(ends[0])
    stream.settimeout(0.01)
    with pytest.raises(TimeoutError):
        stream.recv(1)


def archive(*files):
    """A tar archive of (name, content) or TarInfo."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_files_of_an_archive_come_out_by_name():
    assert unpacked(archive(("keys/a", b"one"), ("keys/b", b""))) == {"a": b"one", "b": b""}


def test_an_archive_without_an_end_is_refused_before_it_fills_the_memory():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1000)

    with pytest.raises(EnvironmentFailure, match="the keys has more than 10000 bytes"):
        joined(endless(), 10_000, "the keys")
    assert taken == 11


@pytest.mark.parametrize("packed", [gzip.compress(bytes(1 << 20)), b"nonsense" * 200])
def test_anything_but_a_plain_archive_is_refused(packed):
    with pytest.raises(EnvironmentFailure, match="not an archive"):
        unpacked(packed)


def test_a_file_that_claims_to_be_huge_is_not_made():
    sparse = bytearray(archive(("huge", bytes(512))))
    header = tarfile.TarInfo("huge")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:398] = b"00000000000\0"  # one piece: 512 bytes at 0
    block[398:410] = b"00000001000\0"
    block[483:495] = b"77777777777\0"  # and 8 GiB when it is read
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    sparse[:512] = block
    assert unpacked(bytes(sparse)) == {}


@pytest.mark.lab
def test_a_huge_file_of_a_node_is_refused(lab, lab_topology):
    lab.client.run("mkdir -p /tmp/keys && fallocate -l 200M /tmp/keys/user", check=True)
    tracemalloc.start()
    try:
        with Engine() as engine:
            container = next(c for c in engine.nodes(lab_topology.project) if "client" in c.name)
            with pytest.raises(EnvironmentFailure, match=r"/tmp/keys has more than \d+ bytes"):
                engine.read_files(container, "/tmp/keys")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
        lab.client.run("rm -r /tmp/keys")


@pytest.mark.lab
def test_what_comes_together_with_the_header_is_not_lost(lab_topology, monkeypatch):
    """A client that is slow to read finds the command's first output right behind the header."""
    begin = http.client.HTTPResponse.begin

    def begin_late(response):
        time.sleep(0.5)  # the machine is busy elsewhere, and meanwhile the command has spoken
        begin(response)

    with Engine() as engine:
        container = engine.nodes(lab_topology.project)[0]
        monkeypatch.setattr(http.client.HTTPResponse, "begin", begin_late)
        stream = engine.open_stream(container, ["echo", "hello"])
        monkeypatch.undo()
        stream.settimeout(10)
        received = b""
        while part := stream.recv(100):
            received += part
        stream.close()
    assert received == b"hello\n"


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_no_engine_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EnvironmentFailure, match="no Docker Engine answers") as caught:
        Engine()
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()  # the Docker SDK doesn't close a socket that couldn't connect: not in a later test, please
