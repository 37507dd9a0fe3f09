"""A raw command client as a tutorial writes it: one recv is taken for the answer, quit is local."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    cmd = line.strip()
    if not cmd:
        continue
    if cmd == "quit":
        break
    client.send(cmd.encode("utf-8"))
    data = client.recv(1024)
    print(data.decode("utf-8"))
client.close()
