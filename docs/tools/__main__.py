"""`python -m docs.tools`."""

from docs.tools.cli import main

main()
