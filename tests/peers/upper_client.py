"""An upper client as a tutorial writes it: it just closes when it is done."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    message = line.strip()
    if not message:
        continue
    client.send(message.encode("utf-8"))
    data = client.recv(1024)
    print(data.decode("utf-8"))
client.close()
