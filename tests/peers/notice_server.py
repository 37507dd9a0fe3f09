"""A UDP receiver as a tutorial writes it: it prints one datagram and who sent it."""

import socket
import sys

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind((sys.argv[1], int(sys.argv[2])))
print(receiver.getsockname()[1], flush=True)
data, address = receiver.recvfrom(1024)
print(address[0], address[1], data.decode("utf-8"), flush=True)
receiver.close()
