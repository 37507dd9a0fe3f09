"""Bytes of a Chinese console: GBK read as UTF-8 fails, or becomes garbage.

A Windows console in Chinese speaks GBK (code page 936), Linux speaks UTF-8. A remote command line passes on
the bytes as they are, and the client decodes them with its own habit. 中 is D6 D0 in GBK, which is no UTF-8
at all; errors="replace" only makes it quiet. The other way round nothing fails and everything is wrong: the
UTF-8 bytes of 拒绝访问 are valid GBK, and read 鎷掔粷璁块棶.

    server: "拒绝访问" in GBK   BE DC BE F8 B7 C3 CE CA
    client: as UTF-8           UnicodeDecodeError, or with errors="replace" �ܾ�����

Bytes don't say what they mean. The header has to: here its line names the encoding, as a Content-Type does.
"""

SERVER = """
import socket
with socket.create_server(("", 7021)) as listener:
    print("listening on 7021", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"gbk\\n" + "拒绝访问".encode("gbk"))
"""
BROKEN = """
import socket
with socket.create_connection(("server", 7021), timeout=5) as stream, stream.makefile("rb") as file:
    header, output = file.readline(), file.read()
encoding = "utf-8"
print("replaced:", output.decode(encoding, errors="replace"), flush=True)
print("strict:", output.decode(encoding))
"""
FIXED = """
import socket
with socket.create_connection(("server", 7021), timeout=5) as stream, stream.makefile("rb") as file:
    header, output = file.readline(), file.read()
encoding = header.decode("ascii").strip()
print("replaced:", output.decode(encoding, errors="replace"), flush=True)
print("strict:", output.decode(encoding))
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with lab.server.start(["python3", "-c", SERVER]):
        client = lab.client.run(["python3", "-c", program])
    return {"shown": client.lines, "error": client.stderr.strip().rpartition("\n")[2]}


def check_broken(record):
    """Read as UTF-8 it is garbage, or an error where errors are not hidden."""
    assert record["shown"] == ["replaced: " + "拒绝访问".encode("gbk").decode(errors="replace")]
    error = "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xbe in position 0: invalid start byte"
    assert record["error"] == error


def check_fixed(record):
    """Read in the encoding that the header names it is what the server said."""
    assert record == {"shown": ["replaced: 拒绝访问", "strict: 拒绝访问"], "error": ""}
