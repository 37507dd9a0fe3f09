"""The command-line programs that run on the hosts: lab-echo, lab-udp, lab-command, lab-transfer."""
