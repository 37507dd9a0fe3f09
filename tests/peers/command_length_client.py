"""A length command client as a tutorial writes it: four bytes of length, then recv until they are there."""

import socket
import struct
import sys

client = socket.socket()
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    cmd = line.strip()
    if not cmd:
        continue
    client.send(cmd.encode("utf-8"))
    if cmd == "exit":
        break
    size = struct.unpack("i", client.recv(4))[0]
    received = 0
    data = b""
    while received < size:
        part = client.recv(1024)
        received += len(part)
        data += part
    print(data.decode("utf-8"))
client.close()
