"""A header command client as a tutorial writes it: one recv for the header, output taken for GBK."""

import hashlib
import json
import socket
import struct
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    cmd = line.strip()
    if not cmd:
        continue
    client.send(cmd.encode("utf-8"))
    obj = client.recv(4)
    header_size = struct.unpack("i", obj)[0]
    header_bytes = client.recv(header_size)
    header = json.loads(header_bytes.decode("utf-8"))
    total_size = header["total_size"]
    recv_size = 0
    recv_data = b""
    while recv_size < total_size:
        res = client.recv(1024)
        recv_data += res
        recv_size += len(res)
    assert hashlib.md5(recv_data).hexdigest() == header["md5"]
    print(recv_data.decode("gbk"))
client.close()
