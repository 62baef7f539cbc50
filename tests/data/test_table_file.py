"""Tables in CSV: what is written in any common form comes back, and what could be misread is refused by name."""

import csv
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.data.table_file import TableOptions, read_table
from qdistill.errors import ArgumentError, DataError

pytestmark = pytest.mark.usefixtures("unchecked")

FLOWERS = "length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,virginica\n"


@pytest.fixture
def table(tmp_path):
    """Reads a text as a file in CSV."""

    def read(text, **options):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, TableOptions(**options))

    return read


def test_a_table_with_its_labels_in_the_last_column(table):
    flowers = table(FLOWERS)

    assert flowers.features == ("length", "width")
    assert flowers.labels == ("setosa", "versicolor", "virginica")
    np.testing.assert_array_equal(flowers.inputs, [[5.1, 3.5], [7.0, 3.2], [6.3, 3.3]])


SAME = {
    "semicolons": FLOWERS.replace(",", ";"),
    "tabs": FLOWERS.replace(",", "\t"),
    "blanks around": FLOWERS.replace(",", " , "),
    "line ends of Windows": FLOWERS.replace("\n", "\r\n"),
    "line ends of old Macs": FLOWERS.replace("\n", "\r"),
    "no line end at the end": FLOWERS.rstrip(),
    "empty lines": FLOWERS.replace("\n", "\n\n") + "\n  \n",
    "a byte order mark": FLOWERS.encode("utf-8-sig"),
    "quotes": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in FLOWERS.splitlines()),
    "exponents": FLOWERS.replace("7.0", "+70e-1").replace("3.5", "0.35E1"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_the_same_table_in_other_forms(table, text):
    same, flowers = table(text), table(FLOWERS)

    assert (same.features, same.labels) == (flowers.features, flowers.labels)
    np.testing.assert_array_equal(same.inputs, flowers.inputs)


@pytest.mark.parametrize("column", ["species", "0", "-3"])
def test_the_labels_in_another_column(table, column):
    text = "species,length,width\nsetosa,5.1,3.5\nversicolor,7.0,3.2\nvirginica,6.3,3.3\n"
    options = {"label_column": column}

    assert table(text, **options).labels == table(FLOWERS).labels
    assert table(text, **options).features == ("length", "width")


def test_without_names_the_columns_are_numbered(table):
    bare = table("5.1,3.5,setosa\n7.0,3.2,versicolor\n")

    assert bare.features == ("0", "1")
    assert bare.labels == ("setosa", "versicolor")
    first = table("1,5.1,3.5\n-1,7.0,3.2\n", label_column="0")
    assert (first.features, first.labels) == (("1", "2"), ("1", "-1"))


def test_names_that_are_numbers_are_names_where_that_is_said(table):
    text = "0,1,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n"

    assert table(text, header="yes").features == ("0", "1")
    assert table(text, label_column="species").labels == ("setosa", "versicolor")
    assert len(table(text, header="no").labels) == 3


def test_columns_that_are_left_out(table):
    text = "id,name,length,width,species\n7,a,5.1,3.5,setosa\n9,b,7.0,3.2,versicolor\n"

    assert table(text, drop=("id", "name")).features == ("length", "width")
    assert table(text, drop=("0", "1", "-2")).features == ("length",)


def test_labels_that_are_numbers_have_no_fraction(table):
    assert table("a,y\n1,0\n2,1\n3,10\n").labels == ("0", "1", "10")
    assert table("a,y\n1,0.0\n2,1.0\n3,1e1\n").labels == ("0", "1", "10")
    assert table("a,y\n1,007\n2,x\n").labels == ("007", "x")


ODD = "Id,length,constant,,species\n" + "".join(
    f"{row},{row**2 % 7},5,{row**3 % 11},{'ab'[row % 2]}\n" for row in range(1, 13)
)


def test_columns_that_say_nothing_are_dropped_or_kept_on_demand(table):
    assert table(ODD, odd_columns="drop").features == ("length",)
    assert table(ODD, odd_columns="keep").features == ("Id", "length", "constant", "")
    assert table(ODD, drop=("Id", "constant", "3")).features == ("length",)


NAMES = st.text(string.ascii_letters + ' ,;"\n', min_size=1).filter(lambda name: name == name.strip() and name)


@given(
    data=st.data(),
    names=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    delimiter=st.sampled_from(",;\t|"),
    n=st.integers(2, 6),
)
def test_what_is_written_is_read_to_the_bit(tmp_path_factory, data, names, delimiter, n):
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    rows = [data.draw(st.lists(numbers, min_size=len(names) - 1, max_size=len(names) - 1)) for _ in range(n)]
    labels = data.draw(st.lists(st.sampled_from(["a b", "c,d", 'e"f', "g;h"]), min_size=n, max_size=n))
    path = tmp_path_factory.mktemp("csv") / "written.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows([*map(repr, row), label] for row, label in zip(rows, labels, strict=True))

    found = read_table(path, TableOptions(delimiter=delimiter, header="yes", odd_columns="keep"))

    assert found.features == tuple(names[:-1])
    assert found.labels == tuple(labels)
    np.testing.assert_array_equal(found.inputs, np.array(rows).reshape(n, -1))


def changed(place, cell):
    """The flowers with another cell in a line."""
    lines = [line.split(",") for line in FLOWERS.splitlines()]
    lines[place[0]][place[1]] = cell
    return "\n".join(map(",".join, lines))


@pytest.mark.parametrize("cell", ["", " ", "NA", "N/A", "null", "None", "?", "-"])
def test_a_missing_number_is_said_where_it_is(table, cell):
    with pytest.raises(DataError, match="line 3: must have a number in column 'width', but it is missing"):
        table(changed((2, 1), cell))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda table: table(changed((1, 0), "nan")), "row 1 of the data: .* column 'length', but it is missing"),
        (lambda table: table(changed((3, 0), "-inf")), "row 3 of the data: .* column 'length', but it is -inf"),
        (
            lambda table: table(changed((2, 0), "tall")),
            "line 3: must have a number in column 'length', but it is 'tall'",
        ),
        (lambda table: table(changed((2, 0), '"7,0"')), "it is '7,0'. Write decimals with a point"),
        (lambda table: table(changed((2, 2), "")), "line 3: must have a label in column 'species', but it is missing"),
        (lambda table: table(changed((2, 2), "versicolor,1")), "line 3: must have 3 columns as the first line, .* 4"),
        (lambda table: table(changed((0, 1), "length")), "columns of different names, but 'length' is there twice"),
        (lambda table: table(changed((0, 1), "species")), "columns of different names, but 'species' is there twice"),
        (lambda table: table(""), "must hold a table, but is empty"),
        (lambda table: table("\n \n"), "must hold a table, but is empty"),
        (lambda table: table("a,b\n"), "must hold rows, but holds names only"),
        (lambda table: table("a\n1\n"), "must have a column of numbers and one of labels"),
        (lambda table: table(FLOWERS.encode("utf-16")), "must be text in UTF-8, but byte 0"),
        (lambda table: table("a,b\n1,\xe9\n".encode("latin1")), "must be text in UTF-8, but byte 6"),
        (lambda table: table('a,b\n1,"x\n'), "is no table in CSV"),
        (lambda table: table("a,y\n1,0.5\n2,1\n"), "must have classes as labels, .* but one is 0.5"),
        (lambda table: table("a,y\n1,x\n1,y\n"), "column 'a' has the one value 1, .* `drop`, .* `odd_columns`"),
        (lambda table: table(ODD), "column 'Id' counts the rows, .* There are 3 such columns"),
        (lambda table: table(ODD, drop=("Id", "constant")), "column 1 without a name has no name, as the index"),
        (lambda table: table("a,y\n1,x\n1,y\n", odd_columns="drop"), "must have a column of numbers that differ"),
        (lambda table: table(FLOWERS, drop=("length", "width")), "must have a column of numbers that differ"),
    ],
)
def test_what_is_no_table_of_numbers(table, make, message):
    with pytest.raises(DataError, match=message):
        make(table)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (FLOWERS, {"label_column": "specie"}, "`label_column` must be one of .* Did you mean 'species'"),
        (FLOWERS, {"label_column": "3"}, "`label_column` must be one of .* It may also be a place from 0 to 2"),
        (FLOWERS, {"drop": ("weight",)}, "`drop` must be one of length, species, width, but was 'weight'"),
        (FLOWERS, {"drop": ("-1",)}, "`drop` must not hold the column of the labels, 'species', but does"),
        (FLOWERS, {"delimiter": ",,"}, "`delimiter` must be one character, but was ',,'"),
        (FLOWERS, {"header": "maybe"}, "`header` must be one of auto, no, yes"),
        (FLOWERS, {"odd_columns": True}, "`odd_columns` must be one of drop, keep, refuse"),
        ("1,2,a\n3,4,b\n", {"label_column": "species"}, "`label_column` must be one of"),
        (
            "1,2,a\n3,4,b\n",
            {"header": "no", "drop": ("x",)},
            "`drop` must be a place from 0 to 2, as the columns have no",
        ),
        ("0,1,species\n3,4,b\n", {}, "`header` must be given, .* '0, 1, species', could be names or data"),
        ("0,1,2\n3,4,5\n", {}, "`header` must be given"),
        ("1,x,a\n3,4,b\n", {}, "`header` must be given"),
        ("a;b,c\n3,4\n", {}, "`delimiter` must be given, .* ',' and ';'"),
    ],
)
def test_options_that_do_not_fit(table, text, options, message):
    with pytest.raises(ArgumentError, match=message):
        table(text, **options)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.csv", TableOptions())


def test_digits_with_underscores_are_no_number(table):
    with pytest.raises(DataError, match="line 3: must have a number in column 'length', but it is '3_4'"):
        table("length,width,species\n5.1,3.5,setosa\n3_4,3.2,virginica\n")


def test_labels_beyond_what_a_float_holds_stay_apart(table):
    numbers = [2**53, 2**53 + 1, 2**53 + 2]
    rows = "".join(f"{0.5 * k},{k * k % 5},{number}\n" for k, number in enumerate(numbers))
    assert table("length,width,species\n" + rows).labels == tuple(map(str, numbers))


def test_lines_are_counted_from_the_top_of_the_file(table):
    with pytest.raises(DataError, match="line 6: must have a number"):
        table("\n\n\nlength,width,species\n5.1,3.5,setosa\nx,3.2,virginica\n")
