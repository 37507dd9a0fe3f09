"""Redis, nginx and PostgreSQL as Debian packages them, and a program alone in its image, over the lab."""

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

QUERY = """
import socket, struct, sys
def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body
with socket.create_connection(("db", 5432), 5) as connection:
    connection.sendall(message(b"", struct.pack(">I", 196608) + b"user\\0postgres\\0\\0"))
    connection.sendall(message(b"Q", b"SELECT 6 * 7 AS answer\\0"))
    connection.shutdown(socket.SHUT_WR)
    received = b""
    while data := connection.recv(4096):
        received += data
rows = received.partition(b"T\\0\\0\\0")[2]
print("42" if b"\\0\\0\\0\\x0242" in rows else received)
"""


def test_redis_answers_over_the_router(servers):
    answer = servers.alice.run("printf 'SET a 1\\r\\nGET a\\r\\nQUIT\\r\\n' | nc cache 6379", check=True)
    assert answer.lines[:3] == ["+OK", "$1", "1"]


def test_nginx_answers_over_both_ip_versions(servers):
    fetch = "import urllib.request, sys; print(urllib.request.urlopen(sys.argv[1], timeout=5).read())"
    assert "first" in servers.alice.python(fetch, "http://web/", check=True).stdout


def test_postgresql_answers_a_query(servers):
    assert servers.alice.python(QUERY, check=True).stdout == "42\n"


def test_a_program_without_shell_python_or_root_greets(servers):
    assert servers.alice.run("nc -4 greeter 7000", check=True).stdout == "hello from C\n"
    assert servers.alice.run("nc -6 greeter 7000", check=True).stdout == "hello from C\n"


def test_the_ports_are_those_of_the_host(servers):
    listening = servers.cache.run("ss -Hltn", check=True).stdout
    assert ":6379" in listening
    assert servers.cache.exec(["redis-cli", "ping"], check=True).stdout == "PONG\n"


def test_names_of_the_lab_resolve_in_the_containers(servers):
    resolved = servers.cache.exec(["getent", "ahostsv4", "alice"], check=True).stdout
    assert resolved.split()[0] == servers.alice.address


def test_a_mounted_folder_is_live(servers, pages):
    fetch = "printf 'GET /new.html HTTP/1.0\\r\\n\\r\\n' | nc web 80"
    assert "404" in servers.alice.run(fetch).lines[0]
    (pages / "new.html").write_text("just written\n")
    (pages / "new.html").chmod(0o644)
    assert servers.alice.run(fetch).lines[-1] == "just written"
    refused = servers.web.exec("echo mine >/read-only/new.html")
    assert "Read-only file system" in refused.stderr
    assert servers.web.exec("echo theirs >/var/www/html/new.html").ok
    assert (pages / "new.html").read_text() == "theirs\n"
