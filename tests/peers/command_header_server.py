"""A header command server as a tutorial writes it: total_size and md5, nothing else, in the header."""

import hashlib
import json
import socket
import struct
import subprocess
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, client_addr = server.accept()
    while True:
        try:
            cmd = conn.recv(8096)
            if not cmd:
                break
            obj = subprocess.Popen(
                cmd.decode("utf-8"), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            stdout, stderr = obj.communicate()
            header = {
                "total_size": len(stdout) + len(stderr),
                "md5": hashlib.md5(stdout + stderr).hexdigest(),
            }
            header_bytes = json.dumps(header).encode("utf-8")
            conn.send(struct.pack("i", len(header_bytes)))
            conn.send(header_bytes)
            conn.send(stdout)
            conn.send(stderr)
        except ConnectionResetError:
            break
    conn.close()
