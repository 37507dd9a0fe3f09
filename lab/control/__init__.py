"""Drives the lab from outside: the engine (power and cables), hosts over SSH, scenarios, the command line."""
