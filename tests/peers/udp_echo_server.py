"""A UDP echo server as a tutorial writes it."""

import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
print(server.getsockname()[1], flush=True)
while True:
    data, address = server.recvfrom(65535)
    server.sendto(data, address)
