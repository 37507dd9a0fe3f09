"""The commands for a host: commands on it, its files, its services and its packets."""
