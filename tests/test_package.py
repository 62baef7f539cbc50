"""The package as a whole: its version, what importing it costs, and what must never be in it."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import qdistill
from qdistill.errors import ArgumentError

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

HEAVY = {"equinox", "jax", "matplotlib", "optax", "pennylane", "qiskit", "sklearn", "tensorcircuit", "torch", "tyro"}
"""Slow to import, or optional: loaded where they are used."""

UNSAFE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
"""Loading a file with one of these runs whatever code the file holds."""

PROGRAMS = sorted(path for folder in ("benchmarks", "examples") for path in (ROOT / folder).rglob("*.py"))

PRIVATE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work)/\w")


def imported_modules(path: Path) -> set[str]:
    """Top-level names of all absolute imports in a file, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def constraints() -> dict[str, list[Requirement]]:
    """The pins by canonical name; a name may have several, told apart by their markers."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def test_version_is_that_of_the_installed_metadata():
    assert importlib.metadata.version("qdistill") == qdistill.__version__, "reinstall: pip install -e ."


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, qdistill; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_annotations_are_checked():
    with pytest.raises(TypeCheckError, match="name"):
        ArgumentError.unknown(1, "value", ["known"])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_can_unpickle(path):
    assert not imported_modules(path) & UNSAFE
    assert not re.search(r"allow_pickle\s*=\s*True", path.read_text(encoding="utf-8"))


def test_no_file_names_a_private_path():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so what belongs to the project is not known")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    found = []
    for path in (ROOT / name for name in names if name):
        if not path.is_file():  # deleted, but still in the index
            continue
        data = path.read_bytes()
        if b"\0" not in data and PRIVATE_PATH.search(data.decode("utf-8", errors="replace")):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {qdistill.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_constraints_are_plain_pins():
    for pins in constraints().values():
        for pin in pins:
            assert pin.url is None
            assert not pin.extras
            assert [clause.operator for clause in pin.specifier] == ["=="]
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|\bwww\.|\.(?:org|com|net|io)\b", text)


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]], ids=lambda extra: extra or "core")
def test_constraints_cover_the_dependencies(extra):
    requirements = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    pins = constraints()
    for requirement in map(Requirement, requirements):
        matching = pins.get(canonicalize_name(requirement.name), [])
        assert matching, f"constraints.txt has no pin for {requirement.name}"
        for pin in matching:
            (clause,) = pin.specifier
            assert requirement.specifier.contains(clause.version), f"{pin} is not {requirement}"


def test_every_public_name_can_be_imported() -> None:
    for name in qdistill.__all__:
        assert getattr(qdistill, name) is not None
    assert set(qdistill.__all__) <= set(dir(qdistill))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_imports_the_package_s_own_face(path):
    """Whose names are those of modules above it."""
    modules = {place.stem for place in (ROOT / "src" / "qdistill").iterdir()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert "qdistill" not in {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "qdistill":
            assert {alias.name for alias in node.names} <= modules


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_benchmarks_and_examples_import_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "qdistill":
            names = {alias.name for alias in node.names}
            assert names <= set(dir(importlib.import_module(node.module)))


def test_what_runs_from_end_to_end_is_where_make_looks_for_it() -> None:
    mark = "pytestmark = pytest.mark." + "end_to_end"
    marked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text()}
    named = re.search(r"^END_TO_END := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named is not None
    assert set(named[1].split()) == marked
