"""`python -m tallystick`: the command line, where no script is installed."""

from tallystick.cli.main import main

if __name__ == "__main__":
    main(prog_name="tallystick")
