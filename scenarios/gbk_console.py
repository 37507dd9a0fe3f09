"""Bytes of a Chinese console: GBK read as UTF-8 fails, or becomes garbage.

A Chinese Windows console uses GBK (code page 936), Linux uses UTF-8. A remote command line passes the bytes
on unchanged, and the client decodes them with its own default. 中 is D6 D0 in GBK, which isn't valid UTF-8;
errors="replace" only hides the error. In the other direction nothing fails, and every character is wrong: the
UTF-8 bytes of 拒绝访问 are valid GBK too, and decode to 鎷掔粷璁块棶.

    server: "拒绝访问" in GBK   BE DC BE F8 B7 C3 CE CA
    client: as UTF-8           UnicodeDecodeError, or with errors="replace" �ܾ�����

Bytes don't carry their encoding, so a header has to name it: here a line of the header does, as Content-Type
does in HTTP. On a lab with the profile windows the server sends the output of ipconfig /all.
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
    """Decoded as UTF-8 the output is garbage, or an exception if errors aren't replaced."""
    garbage = record["said"].encode("gbk").decode(errors="replace")
    assert "\ufffd" in garbage
    assert record["shown"] == f"replaced: {garbage}\n"
    error = r"UnicodeDecodeError: 'utf-8' codec can't decode byte 0x[8-f]. in position \d+: invalid .* byte"
    assert re.fullmatch(error, record["error"])


def check_fixed(record):
    """Decoded with the encoding that the header names, the output is the text that the server sent."""
    assert not record["said"].isascii()
    assert record["shown"] == "replaced: {said}\nstrict: {said}\n".format(**record)
    assert record["error"] == ""
