"""`python -m tiphys` is `tiphys`."""

from tiphys.cli.main import main

if __name__ == "__main__":
    main(prog_name="tiphys")
