"""A hello client as a tutorial writes it: the whole answer is taken from one recv."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
client.send("我是客户端".encode())
data = client.recv(1024)
print(data.decode("utf-8"))
client.close()
