"""A UDP sender as a tutorial writes it, bound to a port of its own where argv 3 names one."""

import socket
import sys

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if len(sys.argv) > 3:
    sender.bind(("", int(sys.argv[3])))
sender.sendto("你好".encode(), (sys.argv[1], int(sys.argv[2])))
sender.close()
