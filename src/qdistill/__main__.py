"""Makes ``python -m qdistill`` the same as ``qdistill``."""

import sys

from qdistill.cli import main

if __name__ == "__main__":
    sys.exit(main())
