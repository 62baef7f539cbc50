"""Install the wheel in an empty environment outside of the repository, and use it there as its first user does.

    python tests/try_wheel.py dist/qdistill-*.whl

`make dist` calls this after it has built the wheel from the unpacked sdist, so that both are whole. What the wheel
needs is installed in the versions of `constraints.txt`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

COMMANDS = (
    # The demo, with few iterations: what is tried is whether all is there, not how good it becomes.
    ("distill", "digits", "--outer.iterations", "4", "--outer.validate-every", "2", "--out", "demo"),
    ("evaluate", "demo"),
    ("report", "demo"),
    ("zoo", "list"),
    ("zoo", "get", "mnist-10-qlenet"),
    ("show", "mnist-10-qlenet.safetensors"),
)
RECIPES = """
from qdistill.experiments.tables.read import read_table, table_names
assert "benchmarks" in [read_table(name).name for name in table_names()]
"""
WRITTEN = ("demo/bundle.safetensors", "demo/images.png", "demo/report.html", "mnist-10-qlenet.png")


def main() -> None:
    """Try one wheel; anything that fails ends it with what was printed."""
    (wheel,) = (Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="qdistill-wheel-") as folder:
        place = Path(folder)
        venv.create(place / "env")
        python = place / "env" / "bin" / "python"
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "-q")
        # Most of what would be compiled is never imported.
        run((*pip, "--no-compile", "-c", CONSTRAINTS, wheel), place)
        where = run((python, "-c", "import qdistill; print(qdistill.__file__)"), place)
        if not Path(where.strip()).is_relative_to(place):
            sys.exit(f"The wheel was not what was imported, but {where}")
        for command in COMMANDS:
            run((place / "env" / "bin" / "qdistill", *command), place)
        run((python, "-c", RECIPES), place)
        missing = [name for name in WRITTEN if not (place / name).exists()]
        if missing:
            sys.exit(f"Not written: {', '.join(missing)}")


def run(command: tuple[str | Path, ...], place: Path) -> str:
    """Run a command in a folder, away from what the caller's environment says of Python, and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "QDISTILL"))}
    start = time.monotonic()
    done = subprocess.run(command, cwd=place, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = " ".join(part.name if isinstance(part, Path) else " ".join(part.split()) for part in command)
    print(f"{time.monotonic() - start:5.1f} s  {said}", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nThis ended with {done.returncode}.")
    return done.stdout


if __name__ == "__main__":
    main()
