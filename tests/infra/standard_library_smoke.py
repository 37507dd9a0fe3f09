"""Runs the standard-library part of the lab under the Python that executes this file.

Every module below the image boundary is compiled and imported with warnings as errors. Then each program
makes a round trip over loopback, server and client under the same Python. Prints the version at the end.
It needs no pytest, which other interpreters and the hosts lack. The argument is the folder that holds `lab`.
"""

import contextlib
import hashlib
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOMS = ("locale", "protocols", "link", "sockets", "programs", "agent")
TIMEOUT = 30  # seconds for one program
TEXTS = ["hello", "上海自来水"]


def modules(folder):
    for room in ROOMS:
        for path in sorted((folder / "lab" / room).rglob("*.py")):
            if path.name != "__main__.py":
                name = ".".join(path.relative_to(folder).with_suffix("").parts)
                yield path, name.removesuffix(".__init__")


def compile_and_import(folder):
    for path, name in modules(folder):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
        importlib.import_module(name)


def python(*words, **options):
    """Starts a program of the lab, or any other, under this Python."""
    argv = [sys.executable, "-P", "-W", "error", "-m", *map(str, words)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, encoding="utf-8", **options)


def output(*words, stdin="", **options):
    """The output of a client, which must succeed."""
    with python(*words, stdin=subprocess.PIPE, **options) as process:
        out, _ = process.communicate(stdin, timeout=TIMEOUT)
    assert process.returncode == 0, (words, process.returncode, out)
    return out


@contextlib.contextmanager
def serving(program, *options):
    """The port of a server, which must stop cleanly on SIGTERM."""
    with python(f"lab.programs.{program}", "serve", "--port", 0, "--json", *options) as process:
        try:
            yield json.loads(process.stdout.readline())["port"]
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == 0, (program, process.returncode)


def echo(io_model):
    with serving("echo", "--mode", "reverse", "--io", io_model) as port:
        out = output("lab.programs.echo", "send", "--mode", "reverse", "--port", port, "127.0.0.1", *TEXTS)
    assert out.splitlines() == [text[::-1] for text in TEXTS], out


def udp():
    with serving("udp", "--mode", "request") as port:
        address = ("--mode", "request", "--port", port, "127.0.0.1")
        out = output("lab.programs.udp", "send", *address, stdin="\n".join(TEXTS))
    assert {text.upper() for text in TEXTS} < set(out.splitlines()), out  # and a line that counts them


def command():
    with serving("command") as port:
        assert output("lab.programs.command", "run", "--port", port, "127.0.0.1", "echo 你好") == "你好\n"


def transfer():
    content = os.urandom(1 << 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for directory in ("root", "back"):
            (folder / directory).mkdir()
        (folder / "file").write_bytes(content)
        with serving("transfer", "--root", folder / "root") as port:
            arguments = ("--port", port, "127.0.0.1", "file")
            output("lab.programs.transfer", "put", *arguments, cwd=folder)
            output("lab.programs.transfer", "get", *arguments, cwd=folder / "back")
        copies = [(folder / directory / "file").read_bytes() for directory in ("root", "back")]
    assert [hashlib.sha256(copy).digest() for copy in copies] == [hashlib.sha256(content).digest()] * 2


def main(folder):
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    compile_and_import(folder)
    for io_model in ("blocking", "threaded", "async"):
        echo(io_model)
    udp()
    command()
    transfer()
    print(platform.python_version())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
