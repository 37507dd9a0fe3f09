"""Settings of a link, the decision on each packet, commands for tc and iptables, verification. Pure."""
