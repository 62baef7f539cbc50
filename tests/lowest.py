"""Print the oldest version that `pyproject.toml` allows of each dependency, as constraints for pip.

    python tests/lowest.py test > lowest.txt

The extras that are named come with the dependencies of the core. `make test-lowest` runs the tests on these.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Read the bounds and print them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [
        *project["dependencies"],
        *(line for extra in sys.argv[1:] for line in project["optional-dependencies"][extra]),
    ]
    for requirement in needed:
        bound = re.match(r"([\w-]+)\s*>=\s*([\w.]+)", requirement)
        if bound:
            print(f"{bound[1]}=={bound[2]}")
        elif ">" in requirement:
            sys.exit(f"No lower bound was read from {requirement!r}.")


if __name__ == "__main__":
    main()
