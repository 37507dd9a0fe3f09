"""The state of a lab's node, by other means than the reset uses: the commands of an administrator.

Left out: process ids, counters, inode numbers and times.
"""

import json
import re
import subprocess

# Each section is printed after a line "=== NAME". Run as root in the container.
SCRIPT = r"""
section() { echo "=== $1"; }
section links; ip -j -d link show
section addresses; ip -j addr show
section routes4; ip -j -4 route show table all
section routes6; ip -j -6 route show table all
section cached; ip -4 route show cache; ip -6 route show cache
section rules; ip -4 rule; ip -6 rule
section neighbours; ip -4 neigh show; ip -6 neigh show; ip neigh show proxy
section metrics; ip tcp_metrics show
section qdiscs; tc qdisc show
section nft; nft -s list ruleset 2>/dev/null
section sockets; ss -Htuwan
section processes; ps -eo user,ni,stat,args
section limits; cat /proc/1/limits; cat /proc/$(pgrep -o -x sshd)/limits
section ipc; cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg | grep -v key
section mounts; findmnt -rno TARGET,FSTYPE
section names; hostname; cat /etc/hosts /etc/resolv.conf /etc/hostname
section sysctl; sysctl -a --pattern '^net\.' 2>/dev/null
section disk; df --output=used /mnt/small
section root; find / -xdev \( -path /run/socketlab -o -path /tmp -o -path /var/tmp -o -path /run/lock \
    -o -path /proc -o -path /home/lab -o -path /dev \) -prune -o -type f -newer /run/socketlab/node -print
"""
# Run as lab: root may not read the user's files. The volume with the keys is shared by all nodes.
FILES = r"""
cd /; for place in /home/lab /tmp /var/tmp /run/lock /dev/shm /dev/mqueue /mnt/small /etc/socketlab; do
    find $place -type d -printf '%p %y %m %u %g\n' -o -printf '%p %y %m %u %g %l %n\n'
    find $place -type f ! -name known_hosts -exec md5sum {} +
    find $place -name known_hosts -exec sort {} +
done | sort
"""
# Of the controller, and of this inspection.
OWN = re.compile(
    r"sshd-session|sshd-auth|socat STDIO|/usr/lib/socketlab/(agent|health)|lab\.agent|tcpdump"
    r"|\bps -eo|docker-init|^root .*<defunct>|^root +\S+ \S+ +(sudo|(/bin/)?sh -[cs])|^lab +\S+ \S+ +cat$"
)
VOLATILE_SYSCTL = re.compile(r"nf_conntrack_count|tcp_fastopen_key|random|_available_")
VOLATILE = {"stats", "stats64", "promiscuity", "ifindex", "link_index", "link_netnsid", "group_fwd_mask"}


def inspected(container):
    """The state of a container as lists of lines, by section."""
    sections = _sections(_output(container, "root", SCRIPT))
    for name in ("links", "addresses", "routes4", "routes6"):
        found = json.loads("".join(sections[name]) or "[]")
        sections[name] = sorted(json.dumps(_stable(each), sort_keys=True) for each in found)
    processes = (line for line in sections["processes"] if not OWN.search(line))
    sections["processes"] = sorted(re.sub(r"\[listener\] \d+", "[listener] 0", line) for line in processes)
    sections["sysctl"] = sorted(line for line in sections["sysctl"] if not VOLATILE_SYSCTL.search(line))
    sections["sockets"] = sorted(_socket(line) for line in sections["sockets"] if not _is_ssh(line))
    sections["files"] = _output(container, "lab", FILES).splitlines()
    sections["metrics"] = [line for line in sections["metrics"] if not line.startswith("127.0.0.1 ")]  # SSH
    # The kernels' own queries from link-local addresses may arrive at any time.
    sections["neighbours"] = [line for line in sections["neighbours"] if not line.startswith("fe80:")]
    sections["nft"] = [_resolver(line) for line in sections["nft"]]
    inspect = ["docker", "inspect", "-f", "{{.State.Status}}", container]
    sections["engine"] = [subprocess.run(inspect, capture_output=True, text=True, check=True).stdout]
    return sections


def differences(before, after):
    """What one inspection has and the other one hasn't, as lines."""
    found = []
    for name in before:
        found += [f"{name}: - {line}" for line in before[name] if line not in after[name]]
        found += [f"{name}: + {line}" for line in after[name] if line not in before[name]]
    return found


def _output(container, user, script):
    command = ["docker", "exec", "-i", "-u", user, container, "sh", "-s"]
    return subprocess.run(
        command, input=script, capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=60
    ).stdout


def _sections(text):
    sections, name = {}, ""
    for line in text.splitlines():
        if line.startswith("=== "):
            name = line[4:]
            sections[name] = []
        else:
            sections[name].append(line)
    return sections


def _stable(value):
    if isinstance(value, dict):
        return {name: _stable(item) for name, item in value.items() if name not in VOLATILE}
    return [_stable(item) for item in value] if isinstance(value, list) else value


def _is_ssh(line):
    """A connection to sshd: that of the controller, or of a health check."""
    return bool(re.search(r":22\s", line)) and "LISTEN" not in line


def _socket(line):
    return _resolver(" ".join(line.split()))


def _resolver(line):
    """Docker's resolver has other ports in each container."""
    return re.sub(r"(127\.0\.0\.11:|127\.0\.0\.11 (?:tcp|udp) sport )\d+", r"\1PORT", line)
