"""A UDP echo client as a tutorial writes it."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    client.sendto(line.rstrip("\n").encode("utf-8"), (sys.argv[1], int(sys.argv[2])))
    data, address = client.recvfrom(1024)
    print(data.decode("utf-8"))
client.close()
