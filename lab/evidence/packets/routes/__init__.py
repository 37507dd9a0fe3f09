"""The routes of packets: what each router does with them, and which packets at two captures are the same."""
