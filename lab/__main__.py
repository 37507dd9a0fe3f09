"""``python -m lab``: the command line."""

from lab.control.cli import main

main()
