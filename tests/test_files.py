import ast
import codecs
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import RunError
from qdistill.files import parse_json, read_json, read_text, read_toml, write_json, write_text

ROOT = Path(__file__).parents[1]


def test_text_is_utf_8_with_unix_line_ends_whatever_the_locale(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "Schrödinger\n→ 1\n")
    assert (tmp_path / "text").read_bytes() == "Schrödinger\n→ 1\n".encode()
    assert read_text(tmp_path / "text") == "Schrödinger\n→ 1\n"


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_toml_and_json_are_read_as_every_editor_writes_them(tmp_path: Path, mark: bytes, end: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(mark + "# Gerät\nname = 'Gerät'\n".encode().replace(b"\n", end))
    (tmp_path / "a.json").write_bytes(mark + '{\n"name": "Gerät"}\n'.encode().replace(b"\n", end))
    assert read_toml(tmp_path / "a.toml") == read_json(tmp_path / "a.json") == {"name": "Gerät"}


@pytest.mark.parametrize("content", ["name = 'ä'".encode("latin-1"), "name = 'ä'".encode("utf-16")])
def test_another_encoding_is_named_as_the_cause(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ValueError, match="no UTF-8 text"):
        read_toml(tmp_path / "a.toml")


def test_toml_that_is_nested_too_deeply_is_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(ValueError, match="nested too deeply"):
        read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "b": 2, "a": 1}', "'a' twice"),
        ('[{"a": {"b": 1, "b": 2}}]', "'b' twice"),
        (r'{"a": 1, "\u0061": 2}', "'a' twice"),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ('{"a": 1', "delimiter"),
    ],
)
def test_json_of_which_readers_differ_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)
    write_text(tmp_path / "a.json", text)
    with pytest.raises(RunError, match=why):
        read_json(tmp_path / "a.json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=_JSON)
def test_json_comes_back_as_it_was_written(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def _opens_text_anyhow(call: ast.Call) -> bool:
    """Whether a call opens a text file and leaves its encoding to the locale."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else None
    function = call.func.id if isinstance(call.func, ast.Name) else None
    named = {given.arg: given.value for given in call.keywords}
    modes = [part.value for part in (*call.args, named.get("mode")) if isinstance(part, ast.Constant)]
    text_mode = any(re.fullmatch(r"[rwax]\+?t?", str(mode)) for mode in modes)
    opens = (
        method in ("read_text", "write_text")
        or (function == "open" and (text_mode or (len(call.args) < 2 and "mode" not in named)))
        or (method == "open" and (text_mode or not (call.args or call.keywords)))
    )
    return opens and "encoding" not in named


def _without_encoding(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(read_text(path))) if isinstance(node, ast.Call)]
    return [f"{path.name}:{call.lineno}" for call in calls if _opens_text_anyhow(call)]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("path.open()", True),
        ("path.open(mode='a')", True),
        ("path.read_text()", True),
        ("path.write_text(text, newline='')", True),
        ("open(p, 'rb')", False),
        ("path.open('w', encoding='utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("read_text(path)", False),
        ("open(p, 'ab' if goes_on else 'wb')", False),
        ("gzip.open(path, 'rb')", False),
        ("os.open(os.devnull, os.O_WRONLY)", False),
    ],
)
def test_the_next_test_sees_what_it_looks_for(code: str, found: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert _opens_text_anyhow(call) == found


def test_no_text_file_is_opened_in_the_encoding_of_whoever_runs_it() -> None:
    places = [
        place
        for folder in ("src", "benchmarks", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for place in _without_encoding(path)
    ]
    assert places == []
