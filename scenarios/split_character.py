"""A character cut in two: recv returns bytes, and 字 is three of them.

recv(1024) returns at most 1,024 bytes, whatever they mean. In UTF-8 an ASCII letter is one byte and most
Chinese characters are three, so sooner or later the boundary falls inside a character, and decode() of that
piece fails:

    … E5 A5 97 │ E6 8E A5 │ E5 ✂ AD 97 │ E5 A5 97 │ …
         套          接          字           套        "unexpected end of data"

With errors="replace" it doesn't fail, but the text is garbled. Decode after all bytes have arrived, or use a
decoder that keeps an incomplete character for the next piece: codecs.getincrementaldecoder, or makefile()
with an encoding.
"""

TEXT = "套接字" * 200
SERVER = """
import socket
with socket.create_server(("", 7017)) as listener:
    print("listening on 7017", flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(("套接字" * 200).encode())
"""
BROKEN = """
import socket
text = ""
with socket.create_connection(("server", 7017), timeout=20) as stream:
    while data := stream.recv(1024):
        text += data.decode()
print(text)
"""
FIXED = """
import codecs, socket
text = ""
decoder = codecs.getincrementaldecoder("utf-8")()
with socket.create_connection(("server", 7017), timeout=20) as stream:
    while data := stream.recv(1024):
        text += decoder.decode(data)
text += decoder.decode(b"", final=True)  # fails if the last character is incomplete
print(text)
"""


def run(lab, variant):
    program = {"broken": BROKEN, "fixed": FIXED}[variant]
    with lab.server.start_python(SERVER):
        client = lab.client.python(program)
    return {"text": client.stdout.strip(), "error": client.stderr.strip().rpartition("\n")[2]}


def check_broken(record):
    """decode() fails: the 1,024th byte is the first of a character of three bytes."""
    error = record["error"]
    assert error.startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 1023")
    assert error.endswith("unexpected end of data"), "the character is incomplete, not invalid"
    assert record["text"] == ""


def check_fixed(record):
    """The decoder keeps the first byte until the other two arrive, and the text is complete."""
    assert record == {"text": TEXT, "error": ""}
