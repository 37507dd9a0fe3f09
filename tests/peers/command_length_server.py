"""A length command server as a tutorial writes it: stdout or else stderr; exit ends the session."""

import socket
import struct
import subprocess
import sys

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, addr = server.accept()
    while True:
        cmd = conn.recv(1024).decode("utf-8")
        if not cmd or cmd == "exit":
            break
        res = subprocess.Popen(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = res.communicate()
        answer = out if out else err
        conn.send(struct.pack("i", len(answer)))
        conn.sendall(answer)
    conn.close()
