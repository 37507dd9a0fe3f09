"""``python3 -m lab.programs.command``: lab-command."""

from lab.programs.command.cli import main

if __name__ == "__main__":
    main()
