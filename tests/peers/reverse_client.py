"""A reverse client as a tutorial writes it: a line, an answer, until the user types quit."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    message = line.rstrip("\n")
    client.send(message.encode("utf-8"))
    if message == "quit":
        break
    print(client.recv(1024).decode("utf-8"))
client.close()
