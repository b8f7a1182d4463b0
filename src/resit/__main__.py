"""``python -m resit``: the command line."""

from resit.cli.main import main

if __name__ == "__main__":
    main()
