"""An upper server as a tutorial writes it, with socketserver: a thread for each client."""

import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(1024)
            if not data:
                break
            self.request.send(data.upper())


server = socketserver.ThreadingTCPServer((sys.argv[1], int(sys.argv[2])), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
