"""Link emulation: settings, the decision on each packet, tc and iptables commands, verification. No I/O."""
