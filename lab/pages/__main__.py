"""`python -m lab.pages`."""

from lab.pages.cli import main

main()
