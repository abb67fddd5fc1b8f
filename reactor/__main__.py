"""`python -m reactor` is the `reactor` command."""

import sys

from reactor.cli import main

if __name__ == "__main__":
    sys.exit(main())
