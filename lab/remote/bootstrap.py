"""Examines a real machine, and installs the lab's code on it. The controller sends this file over SSH.

It runs on the machine, which may have any Python 3: nothing here is newer than Python 3.7, and no other
module of the lab is imported. Standard input has this file, and then the archive if code is to be installed:

    survey '{"code": "0123abcd", "needs": [3, 11], "address": "192.0.2.10", "names": ["server"]}'
    install 0123abcd
    remove

The code is in ~/.cache/socketlab, in a folder named by its hash.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "socketlab")
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def survey(code: str, needs: "list[int]", address: str, names: "list[str]") -> "dict[str, object]":
    """The facts about this machine that the controller needs; if its Python is too old, only the version."""
    found: dict[str, object] = {"python": list(sys.version_info[:2])}
    if list(sys.version_info[:2]) < needs:
        return found
    folder = os.path.join(CACHE, code)
    found.update(
        folder=folder,
        installed=os.path.isdir(folder),
        path=PATH,
        shell=shutil.which("bash", path=PATH) or "/bin/sh",
        address=has_address(address),
        names=resolve(names),
        capture=capture_problem(),
        hostname=socket.gethostname(),
        controller=os.environ.get("SSH_CONNECTION", "").split(),
    )
    return found


def has_address(address: str) -> bool:
    """True if one of this machine's interfaces has the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def resolve(names: "list[str]") -> "dict[str, list[str]]":
    """The IPv4 addresses of each name; [] if it has none."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(names, pool.map(addresses, names)))  # noqa: B905 (strict is newer than Python 3.7)


def addresses(name: str) -> "list[str]":
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[0]) for _, _, _, _, address in found})


def capture_problem() -> str:
    """Why this user can't capture packets; "" if tcpdump starts."""
    for program in "ip", "tcpdump":
        if not shutil.which(program, path=PATH):
            return f"{program} isn't installed"
    argv = [str(shutil.which("tcpdump", path=PATH)), "-i", "lo", "-n", "-w", os.devnull, "udp port 9"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as tcpdump:
        reason = ""
        for line in tcpdump.stderr or ():
            if "listening on" in line:
                tcpdump.terminate()
                return ""
            reason = reason or line.strip()  # of the first line; the next one has the system call
    return reason or "tcpdump doesn't start"


def install(code: str) -> None:
    """Unpacks the code. It gets its final name when it is complete."""
    os.makedirs(CACHE, mode=0o700, exist_ok=True)
    unpacked = tempfile.mkdtemp(prefix=".new-", dir=CACHE)
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as archive:
            archive.extractall(unpacked)
        os.rename(unpacked, os.path.join(CACHE, code))
    except OSError:
        if not os.path.isdir(os.path.join(CACHE, code)):  # else another controller was faster
            raise
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def main(action: str, *arguments: str) -> None:
    if action == "survey":
        print(json.dumps(survey(**json.loads(arguments[0]))))
    elif action == "install":
        install(*arguments)
    else:
        shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
