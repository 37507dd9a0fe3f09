import os
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer


class Counter(BaseHTTPRequestHandler):
    def do_GET(self):
        with socket.create_connection((os.environ["DATABASE"], 6379), 5) as database:
            database.sendall(b"INCR visitors\r\n")
            count = database.recv(100).decode().strip(":\r\n")
        with open("/greeting.txt") as file:
            text = f"{file.read().strip()} You are visitor {count}. Pay {os.environ['PRICE']}.\n"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


print("counting", flush=True)
HTTPServer(("", 8000), Counter).serve_forever()
