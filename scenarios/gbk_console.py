"""Bytes of a Chinese console: GBK read as UTF-8 fails, or becomes garbage.

A Windows console in Chinese speaks GBK (code page 936), Linux speaks UTF-8. A remote command line passes on
the bytes as they are, and the client decodes them with its own habit. 中 is D6 D0 in GBK, which is no UTF-8
at all; errors="replace" only makes it quiet. The other way round nothing fails and everything is wrong: the
UTF-8 bytes of 拒绝访问 are valid GBK, and read 鎷掔粷璁块棶.

    server: "拒绝访问" in GBK   BE DC BE F8 B7 C3 CE CA
    client: as UTF-8           UnicodeDecodeError, or with errors="replace" �ܾ�����

Bytes don't say what they mean. The header has to: here its line names the encoding, as a Content-Type does.
On a lab with the profile windows the server says what ipconfig /all puts out.
"""

import re

CONSOLE = {"linux": "echo 拒绝访问 | iconv -f utf-8 -t gbk", "windows": "wine cmd /c ipconfig /all"}
SERVER = """
import socket, subprocess, sys
output = subprocess.run(sys.argv[1], shell=True, stdout=subprocess.PIPE).stdout
with socket.create_server(("", 7021)) as listener:
    print("listening on 7021", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"gbk\\n" + output)
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
    console = CONSOLE[lab.server.platform]
    with lab.server.start_python(SERVER, console):
        client = lab.client.python(program)
    return {
        "said": lab.server.ask(f"{console} | iconv -f gbk -t utf-8").stdout,
        "shown": client.stdout,
        "error": client.stderr.strip().rpartition("\n")[2],
    }


def check_broken(record):
    """Read as UTF-8 it is garbage, or an error where errors are not hidden."""
    garbage = record["said"].encode("gbk").decode(errors="replace")
    assert "\ufffd" in garbage
    assert record["shown"] == f"replaced: {garbage}\n"
    error = r"UnicodeDecodeError: 'utf-8' codec can't decode byte 0x[8-f]. in position \d+: invalid .* byte"
    assert re.fullmatch(error, record["error"])


def check_fixed(record):
    """Read in the encoding that the header names it is what the server said."""
    assert not record["said"].isascii()
    assert record["shown"] == "replaced: {said}\nstrict: {said}\n".format(**record)
    assert record["error"] == ""
