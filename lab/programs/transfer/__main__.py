"""``python3 -m lab.programs.transfer``: lab-transfer."""

from lab.programs.transfer.cli import main

if __name__ == "__main__":
    main()
