"""A raw command server as a tutorial writes it: one client at a time, stderr then stdout, no framing."""

import socket
import subprocess
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, addr = server.accept()
    while True:
        try:
            cmd = conn.recv(8096)
            if not cmd:
                break
            obj = subprocess.Popen(
                cmd.decode("utf-8"), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            stdout, stderr = obj.communicate()
            conn.send(stderr)
            conn.send(stdout)
        except ConnectionResetError:
            break
    conn.close()
