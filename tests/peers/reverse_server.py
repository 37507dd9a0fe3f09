"""A reverse server as a tutorial writes it: one client after the other, until each says quit."""

import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(1)
print(server.getsockname()[1], flush=True)
while True:
    conn, addr = server.accept()
    while True:
        data = conn.recv(1024).decode("utf-8")
        if data == "quit":
            print("quit", flush=True)
            break
        conn.send(data[::-1].encode("utf-8"))
    conn.close()
