"""A hello server as a tutorial writes it: one client, one recv, one answer."""

import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(5)
print(server.getsockname()[1], flush=True)
conn, addr = server.accept()
data = conn.recv(1024)
print(data.decode("utf-8"), flush=True)
conn.send("我是服务端".encode())
conn.close()
server.close()
