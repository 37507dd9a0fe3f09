"""The two ends of `lab cp`, without a lab."""

import io
import os
import tarfile

import pytest

from lab.remote.file_copy import END, Receiver, send


def member(name, kind=tarfile.REGTYPE, data=b"", link=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(data), link, 0o644
    return info, io.BytesIO(data)


def stream(*members, end=True):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, data)
        if end:
            archive.addfile(tarfile.TarInfo(END))
    out.seek(0)
    return out


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a//b", "./x", "a/./b"], ids=lambda name: name.replace("/", "|")
)
def test_a_name_outside_of_the_destination_is_refused(tmp_path, name):
    (tmp_path / "to" / "a").mkdir(parents=True)
    with pytest.raises(OSError, match="the sender named"):
        Receiver(str(tmp_path / "to")).receive(stream(member(name, data=b"x")))
    assert [path.name for path in tmp_path.rglob("*")] == ["to", "a"]


def test_nothing_is_written_through_a_link_that_the_sender_made(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "secret").mkdir()
    attack = stream(member("d", tarfile.SYMTYPE, link=str(tmp_path / "secret")), member("d/x", data=b"x"))
    with pytest.raises(OSError, match="Not a directory"):
        Receiver(str(tmp_path / "to")).receive(attack)
    assert not list((tmp_path / "secret").iterdir())


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "to" / "x").symlink_to(tmp_path / "secret")
    Receiver(str(tmp_path / "to")).receive(stream(member("x", data=b"new")))
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "to" / "x").read_text() == "new"


@pytest.mark.parametrize("cut", [0, 100, 600, 1024, 2000, 2500])
def test_an_incomplete_stream_leaves_no_incomplete_file(tmp_path, cut):
    data = os.urandom(1500)
    whole = stream(member("x", data=data)).getvalue()
    with pytest.raises((EOFError, tarfile.ReadError)):
        Receiver(str(tmp_path)).receive(io.BytesIO(whole[:cut]))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} in ({}, {"x": data})


def test_a_stream_without_its_last_member_is_incomplete(tmp_path):
    with pytest.raises(EOFError):
        Receiver(str(tmp_path)).receive(stream(member("x"), end=False))


def test_what_is_neither_file_nor_folder_is_left_out_and_reported(tmp_path, capfd):
    (tmp_path / "from").mkdir()
    os.mkfifo(tmp_path / "from" / "fifo")
    (tmp_path / "from" / "file").write_text("content")
    out = io.BytesIO()
    assert not send(str(tmp_path / "from"), out)
    assert "fifo: neither a file nor a folder" in capfd.readouterr().err
    Receiver(str(tmp_path / "new")).receive(io.BytesIO(out.getvalue()))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
