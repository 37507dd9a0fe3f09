"""Link emulation: settings, the decision on each packet, tc and iptables commands, verification. No I/O."""

PROBE_PORT = 61_987  # the lab's own probes: impaired like all packets, but not counted by a Drop
