"""What is asked of a link, what happens to each packet, the words of tc and iptables, and the proof. Pure."""
