"""The Docker Engine: its errors are reported in one line, and a node can't fill the memory."""

import gc
import gzip
import io
import tarfile
import tracemalloc

import pytest

from lab.engine.client import Engine, joined, unpacked
from lab.errors import EnvironmentFailure


def archive(*files):
    """A tar archive of (name, content) or TarInfo."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_files_of_an_archive_are_returned_by_name():
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


def test_a_file_that_claims_to_be_huge_is_not_allocated():
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
def test_a_huge_file_of_a_node_is_refused(shared_lab, lab_topology):
    shared_lab.client.run("mkdir -p /tmp/keys && fallocate -l 200M /tmp/keys/user", check=True)
    tracemalloc.start()
    try:
        with Engine() as engine:
            container = next(c for c in engine.nodes(lab_topology.project) if "client" in c.name)
            with pytest.raises(EnvironmentFailure, match=r"/tmp/keys has more than \d+ bytes"):
                engine.read_files(container, "/tmp/keys")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
        shared_lab.client.run("rm -r /tmp/keys")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_missing_engine_is_reported_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EnvironmentFailure, match="no Docker Engine answers") as caught:
        Engine()
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()  # the Docker SDK doesn't close a socket that couldn't connect: not in a later test, please
