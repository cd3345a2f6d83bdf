"""`python -m pgolf.cli`: the same as `pgolf`."""

from pgolf.cli import main

if __name__ == "__main__":
    main()
