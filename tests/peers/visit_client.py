"""A client that only visits: it connects, says nothing, and waits until the server closes."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
print(client.recv(1024))
client.close()
