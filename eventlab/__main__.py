"""``python -m eventlab``: the shell."""

import sys

from eventlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
