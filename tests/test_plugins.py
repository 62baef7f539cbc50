import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qdistill.cli.plugins import PLUGINS, forget_plugins, load_plugin
from qdistill.errors import ArgumentError
from qdistill.models import ARCHITECTURES


@pytest.fixture(autouse=True)
def plugins_forgotten() -> Iterator[None]:
    yield
    forget_plugins()
    ARCHITECTURES.pop("Own", None)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(name: str) -> list[object]:
    """The plugins of that file name that are imported."""
    return [module for key, module in sys.modules.items() if key.startswith(f"qdistill_plugin_{name}_")]


def test_a_plugin_imports_what_lies_beside_it_at_once_and_later(tmp_path: Path) -> None:
    write(tmp_path / "beside_it.py", "import beside_too\nVALUE = beside_too.VALUE")
    write(tmp_path / "beside_too.py", "VALUE = 3")
    write(tmp_path / "beside_later" / "inside.py", "VALUE = 4")
    write(
        tmp_path / "net.py",
        "import beside_it\ndef later():\n    from beside_later.inside import VALUE\n    return VALUE + beside_it.VALUE",
    )
    load_plugin(tmp_path / "net.py")
    (module,) = loaded("net")
    assert module.later() == 7  # type: ignore[attr-defined]
    forget_plugins()
    assert not {"beside_it", "beside_too", "beside_later", "beside_later.inside"} & set(sys.modules)
    with pytest.raises(ModuleNotFoundError):
        import beside_it  # type: ignore[import-not-found]  # noqa: F401
    assert PLUGINS == []


def test_a_plugin_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "beside_it.py", "")
    write(tmp_path / "net.py", "def later():\n    import beside_it\n    return beside_it.__file__")
    monkeypatch.chdir(tmp_path)
    load_plugin(Path("net.py"))
    monkeypatch.chdir("/")
    assert loaded("net")[0].later() == str(tmp_path / "beside_it.py")  # type: ignore[attr-defined]


def test_two_plugins_of_one_folder_share_what_lies_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "beside_it.py", "")
    for name in ("one", "two"):
        load_plugin(write(tmp_path / f"{name}.py", "import beside_it as shared"))
    (one,), (two,) = loaded("one"), loaded("two")
    assert one.shared is two.shared  # type: ignore[attr-defined]


def test_two_plugins_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        load_plugin(write(tmp_path / folder / "net.py", f"PLACE = {folder!r}"))
    assert sorted(module.PLACE for module in loaded("net")) == ["a", "b"]  # type: ignore[attr-defined]


AT_ONCE, LATER, NEVER = "import beside_it", "def later():\n    import beside_it", ""


@pytest.mark.parametrize("first", [AT_ONCE, LATER, NEVER])
@pytest.mark.parametrize("second", [AT_ONCE, LATER, NEVER])
def test_modules_of_one_name_beside_two_plugins_are_not_mixed(tmp_path: Path, first: str, second: str) -> None:
    for folder, text in (("a", first), ("b", second)):
        write(tmp_path / folder / "beside_it.py", f"PLACE = {folder!r}")
        write(tmp_path / folder / f"net_{folder}.py", text)
    load_plugin(tmp_path / "a" / "net_a.py")
    if AT_ONCE in (first, second):
        with pytest.raises(ArgumentError, match=r"'beside_it'.*[Rr]ename one of them"):
            load_plugin(tmp_path / "b" / "net_b.py")
        return
    load_plugin(tmp_path / "b" / "net_b.py")
    for module in (*loaded("net_a"), *loaded("net_b")):
        if hasattr(module, "later"):
            with pytest.raises(ImportError, match=r"'beside_it'.*rename one of them"):
                module.later()


def test_modules_of_python_and_packages_in_use_are_not_replaced(tmp_path: Path) -> None:
    import statistics

    (tmp_path / "tomllib").mkdir()
    (tmp_path / "optax").mkdir()
    write(tmp_path / "statistics.py", "raise ValueError")
    load_plugin(
        write(tmp_path / "net.py", "import statistics, tomllib, optax\nUSED = statistics, optax.adam, tomllib.loads")
    )
    assert loaded("net")[0].USED[0] is statistics  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import os\n\nimport nothing_of_the_kind",
            r"in net.py, line 3: ModuleNotFoundError: No module named 'nothing_",
        ),
        ("x = 1\nx = = 2", "in net.py, line 2: SyntaxError: invalid syntax"),
        ("import beside_it\n", "in beside_it.py, line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)", "in net.py, line 2: SystemExit: 0"),
        ("import json\njson.loads('{')", "in net.py, line 2: JSONDecodeError"),
        ("def f():\n    raise ValueError('two\\nlines')\nf()", "in net.py, line 2: ValueError: two lines"),
    ],
)
def test_a_plugin_that_fails_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "beside_it.py", "x = 0\ny = 1 / x")
    with pytest.raises(ArgumentError, match=f"The plugin {tmp_path}/net.py failed {message}"):
        load_plugin(write(tmp_path / "net.py", text))


NETWORK = """
from __future__ import annotations
from dataclasses import dataclass
from qdistill.models import ARCHITECTURES

@dataclass(frozen=True)
class Own:
    width: int = 3
    odd: {hint} = None

    def build(self, input_shape, n_classes, *, key):
        raise NotImplementedError

ARCHITECTURES["Own"] = Own
"""


def test_a_network_that_cannot_be_kept_is_refused_with_its_field_and_line(tmp_path: Path) -> None:
    load_plugin(write(tmp_path / "right.py", NETWORK.format(hint="float | None")))
    assert "Own" in ARCHITECTURES
    with pytest.raises(ArgumentError, match=r"in net.py, line 14: .*Own cannot be registered: its field `odd`"):
        load_plugin(write(tmp_path / "net.py", NETWORK.format(hint="complex")))
