"""An engine that isn't there, that is too old, that this user may not use; and missing tools."""

import json
import os
import socket
import socketserver
import subprocess
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from lab.doctor.checks.engine import EngineFacts, Refusal, check_engine, clock_difference, numbers
from tests.doctor.machines import doctor


def test_a_socket_that_does_not_exist(tmp_path):
    found = doctor(DOCKER_HOST=f"unix://{tmp_path}/nowhere.sock")
    level, text, remedy = found.only("engine")
    assert level == "trouble"
    assert f"{tmp_path}/nowhere.sock (No such file or directory)" in text
    assert "unset DOCKER_HOST" in remedy
    assert found.exit_code == 3
    assert not found.report["can_run"]


def test_a_socket_that_nobody_listens_on(tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(f"{tmp_path}/closed.sock")
        _, text, _ = doctor(DOCKER_HOST=f"unix://{tmp_path}/closed.sock").only("engine")
    assert "Connection refused" in text


def test_an_address_of_another_machine(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    found = doctor(DOCKER_HOST=f"tcp://127.0.0.1:{port}")
    assert "Connection refused" in found.only("engine")[1]
    assert "another machine" in found.only("machine")[1]


def test_a_context_that_does_not_answer(tmp_path):
    environment = os.environ | {"DOCKER_CONFIG": str(tmp_path)}
    endpoint = f"host=unix://{tmp_path}/nowhere.sock"
    for words in (["create", "elsewhere", "--docker", endpoint], ["use", "elsewhere"]):
        subprocess.run(["docker", "context", *words], env=environment, check=True, capture_output=True)
    level, text, remedy = doctor(DOCKER_CONFIG=str(tmp_path)).only("engine")
    assert level == "trouble"
    assert "nowhere.sock" in text
    assert "docker context use default" in remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another user")
def test_a_user_without_permission_for_the_socket(tmp_path):
    path = tmp_path / "docker.sock"
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        found = doctor(as_user="--reuid 65534 --regid 65534", DOCKER_HOST=f"unix://{path}", HOME="/")
    level, text, remedy = found.only("engine")
    assert (level, text) == ("trouble", f"this user may not use the Docker Engine at unix://{path}")
    assert "sudo usermod --append --groups docker" in remedy
    assert found.exit_code == 3


class OldEngine(BaseHTTPRequestHandler):
    """Answers as an engine of another version does. Engine 20.10 can't be installed beside today's."""

    def do_GET(self):
        too_new = self.path.startswith("/v1.4") and not self.path.startswith(("/v1.40/", "/v1.41/"))
        refusal = {"message": "client version is too new. Maximum supported API version is 1.41"}
        version = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
        body = json.dumps(refusal if too_new else version).encode()
        self.send_response(400 if too_new else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


@contextmanager
def serving(path):
    with socketserver.ThreadingUnixStreamServer(str(path), OldEngine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_an_engine_that_is_too_old(tmp_path):
    with serving(tmp_path / "docker.sock"):
        found = doctor(DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    level, text, remedy = found.only("engine")
    assert level == "trouble"
    assert text == "Docker Engine 20.10.24 is too old: the lab needs 26"
    assert "update it" in remedy
    assert not found["prefixes"]  # it isn't asked anything else


def test_no_docker_client(tmp_path):
    found = doctor(PATH=str(tmp_path))
    level, text, remedy = found.only("client")
    assert level == "trouble"
    assert "no command docker" in text
    assert "docker-cli" in remedy
    assert found.exit_code == 3


PLUGINS = (
    "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
)  # fmt: skip


def test_docker_without_compose_and_buildx(tmp_path):
    present = [path for path in PLUGINS if os.path.isdir(path)]
    hide = "; ".join(f"mount -t tmpfs tmpfs {path}" for path in present)
    found = doctor(before=hide, unshare=["--mount"], DOCKER_CONFIG=str(tmp_path))
    level, text, remedy = found.only("compose")
    assert level == "trouble"
    assert "without Compose" in text
    assert "docker-compose-v2" in remedy
    assert found.only("buildx")[0] == "notice"
    assert found.exit_code == 3


def test_a_compose_that_is_too_old(tmp_path):
    plugin = tmp_path / "cli-plugins/docker-compose"
    plugin.parent.mkdir()
    plugin.write_text(
        "#!/bin/sh\n"
        'case "$1" in docker-cli-plugin-metadata)\n'
        """echo '{"SchemaVersion": "0.1.0", "Vendor": "Docker Inc.", "Version": "v2.5.0"}' ;;\n"""
        "*) echo 'Docker Compose version v2.5.0' ;;\nesac\n"
    )
    plugin.chmod(0o755)
    level, text, _ = doctor(DOCKER_CONFIG=str(tmp_path)).only("compose")
    assert (level, text) == ("trouble", "Docker Compose 2.5.0 is too old: the lab needs 2.24")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("26.1.5+dfsg1", (26, 1, 5)), ("v2.40.3", (2, 40, 3)), ("28.0.0-rc.1", (28, 0, 0)), ("dev", ())],
)
def test_the_numbers_of_a_version(version, expected):
    assert numbers(version) == expected


def remedy_of(**fields):
    finding, *_ = check_engine(
        EngineFacts("unix:///var/run/docker.sock", refusal=Refusal.NO_SOCKET, **fields)
    )
    return str(finding.remedy)


def test_each_cause_has_a_remedy_of_its_own():
    assert "systemctl start docker" in remedy_of()
    assert "dockerd" in remedy_of(systemd=False)
    assert "install Docker Engine 26" in remedy_of(installed=False)


def test_a_user_who_is_in_the_group_has_to_log_in_again():
    facts = EngineFacts("unix:///s", refusal=Refusal.NO_PERMISSION, user="ann", in_group=True)
    finding, *_ = check_engine(facts)
    assert "log in again" in str(finding.remedy)


def test_limitations_of_an_engine_that_answers():
    info = {
        "MemoryLimit": False,
        "SecurityOptions": ["name=rootless"],
        "SystemTime": "2026-11-21T21:33:14.327549996Z",
    }
    found = [*check_engine(EngineFacts("unix:///s", version="26.1.5", info=info, received=1795296804.0))]
    assert [each.check for each in found] == ["engine", "limits", "rootless", "clock"]
    assert "by -10 s" in str(found[-1].text)


@pytest.mark.parametrize("text", ["", None, "yesterday"])
def test_an_unknown_time_of_the_engine(text):
    assert clock_difference(EngineFacts("unix:///s", info={"SystemTime": text})) is None
