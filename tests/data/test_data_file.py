"""Files of the user's own: each kind gives the dataset that its arrays give, and what does not fit is said by name."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from qdistill.data import DataFile, Images, Source, Vectors
from qdistill.errors import ArgumentError, DataError
from qdistill.fields import from_table

pytestmark = pytest.mark.usefixtures("unchecked")

X = np.arange(24, dtype=np.float32).reshape(12, 2) ** 2
Y = np.array(["ant", "bee", "cat"])[np.arange(12) % 3]
PICTURES = np.arange(12 * 6, dtype=np.uint8).reshape(12, 3, 2)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def csv_file(name="own.csv", x=X, y=Y):
    rows = (",".join(map(str, (*row, label))) for row, label in zip(x.tolist(), y, strict=True))
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(["a,b,kind", *rows]))
    return name


def npz_file(name="own.npz", **arrays):
    np.savez(name, **(arrays or {"x": X, "y": Y}))
    return name


def folder(path, part=slice(None)):
    for place in np.arange(12)[part]:
        (path / Y[place]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(PICTURES[place]).save(path / Y[place] / f"{place:02}.png")
    return path


def test_each_kind_of_file_is_the_dataset_of_its_arrays(here):
    by_class = np.argsort(Y, kind="stable")  # the order of a folder
    pairs = {
        csv_file(): Vectors(X, Y, name="own", test_size=6),
        npz_file(): Vectors(X, Y, name="own", test_size=6),
        npz_file("grey.npz", x=PICTURES, y=Y): Images(PICTURES, Y, name="grey", test_size=6),
        folder(here / "own").name: Images(PICTURES[by_class], Y[by_class], name="own", test_size=6),
    }
    for path, expected in pairs.items():
        file = DataFile(path, test_size=0.5)
        found = file.read()

        assert file.load().ordered_digest == found.load().ordered_digest == expected.load().ordered_digest
        assert isinstance(found, Source)
        known = (found.name, found.class_names, found.input_shape, found.n_train)
        assert known == (expected.name, expected.class_names, expected.input_shape, 6)


def test_files_with_a_division_of_their_own(here):
    npz_file(x_train=X[:9], y_train=Y[:9], x_test=X[9:], y_test=Y[9:])
    folder(here / "parted" / "train", slice(9))
    folder(here / "parted" / "test", slice(9, None))

    assert DataFile("own.npz").load().ordered_digest == Vectors(X[:9], Y[:9], X[9:], Y[9:]).load().ordered_digest
    assert DataFile("parted").load().digest == Images(PICTURES[:9], Y[:9], PICTURES[9:], Y[9:]).load().digest
    for field, value in (("test_size", 0.5), ("split_seed", 1)):
        with pytest.raises(DataError, match=f"`{field}` must be left out, because what is for test is given"):
            DataFile("own.npz", **{field: value}).load()


def test_some_of_the_classes_in_an_order(here):
    raw = DataFile(csv_file(), classes=("cat", "ant"), test_size=4).load()
    kept = Y != "bee"

    assert raw.class_names == ("cat", "ant")
    assert raw.digest == Vectors(X[kept], Y[kept], class_names=("cat", "ant"), test_size=4).load().digest


def test_labels_of_minus_one_and_one(here):
    signs = np.where(Y == "ant", 1, -1)
    for labels in (signs, signs.astype(float), signs.astype(str)):
        file = DataFile(npz_file(x=X, y=labels), test_size=6).read()
        assert file.class_names == ("-1", "1")
    assert DataFile(csv_file(y=signs), test_size=6, classes=("1", "-1")).read().class_names == ("1", "-1")


def test_class_names_of_a_file(here):
    names = np.array(["dog", "cat"])
    file = npz_file(x=X, y=np.arange(12) % 2, class_names=names)

    assert DataFile(file, test_size=6).read().class_names == ("dog", "cat")
    assert DataFile(file, test_size=6, classes=("cat", "dog")).read().class_names == ("cat", "dog")


def test_the_fields_go_through_json(here):
    file = DataFile(csv_file(), label_column="kind", drop=("b",), classes=("cat", "ant"), test_size=4).read()

    again = from_table(DataFile, json.loads(json.dumps(dataclasses.asdict(file))), "data", whole=True)

    assert again == file


def test_what_was_found_needs_no_file(here):
    file = DataFile(csv_file(), test_size=6).read()
    (here / "own.csv").unlink()

    assert (file.class_names, file.input_shape, file.n_train) == (("ant", "bee", "cat"), (2,), 6)
    with pytest.raises(DataError, match=r"own.csv: is not there; it was sought at .*own.csv.* `data_dir`"):
        file.load()


def test_a_file_is_found_in_the_folder_that_is_named(here):
    (here / "deep" / "er").mkdir(parents=True)
    digest = DataFile(csv_file("deep/er/own.csv"), test_size=6).load().digest

    for path, data_dir in (("own.csv", "deep/er"), ("er/own.csv", "deep"), ("gone/own.csv", "deep/er")):
        assert DataFile(path, test_size=6).load(here / data_dir).digest == digest
    with pytest.raises(DataError, match=r"it was sought at .*er.gone.other\.csv or .*er.other\.csv"):
        DataFile("gone/other.csv").load(here / "deep" / "er")
    absolute = DataFile(str(here / "deep" / "er" / "own.csv"), test_size=6)
    assert absolute.load().digest == digest
    with pytest.raises(DataError, match="is not there"):
        absolute.load(here)


def test_a_file_that_is_written_again_is_read_again(here):
    file = DataFile(csv_file(), test_size=6)
    before = file.load().digest

    csv_file(x=X + 1)

    assert file.load().digest != before


def test_a_file_with_other_classes_or_features_than_when_it_was_read(here):
    file = DataFile(csv_file(), test_size=6).read()

    csv_file(y=np.char.upper(Y))
    with pytest.raises(DataError, match=r"`class_names` .*'ant'.* as when the run began, but has .*'ANT'"):
        file.load()
    csv_file(x=np.hstack([X, X[:, :1] + 1]))
    with pytest.raises(DataError, match="line 2: must have 3 columns as the first line, but has 4"):
        file.load()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataFile("own.csv", drop=("z",)).load(), "`drop` must be one of a, b, kind, but was 'z'"),
        (lambda: DataFile("own.npz", label_column="kind"), "`label_column` must be left out but for a table in CSV"),
        (lambda: DataFile("folder", delimiter=";"), "`delimiter` must be left out but for a table in CSV"),
        (lambda: DataFile("own.csv", scale=255.0), "`scale` must be left out but for images in NPZ"),
        (lambda: DataFile("own.csv", split_seed=-1), "`split_seed` must be from 0"),
        (lambda: DataFile("own.csv", classes=("a", "a")), "`class_names` must hold each name once"),
        (lambda: DataFile("own.csv", name=" "), "`name` must not be blank"),
        (lambda: DataFile(""), "`path` must not be blank"),
        (lambda: DataFile("own.csv", test_size="x"), "`test_size` must be a number"),
    ],
)
def test_fields_that_do_not_fit(here, make, message):
    csv_file()
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataFile("own.txt").load(), "own.txt: is not there"),
        (
            lambda: DataFile(csv_file("own.txt")).load(),
            "own.txt: must be a folder of images or a file .* .csv, .tsv, .npz",
        ),
        (lambda: DataFile(csv_file(), classes=("ants",)).load(), "`classes` must be among .* Did you mean 'ant'"),
        (lambda: DataFile(csv_file(), classes=("ant",)).load(), "`y` must hold two classes at least, but holds 'ant'"),
        (
            lambda: DataFile(csv_file(y=["ant"] * 12)).load(),
            "In .*own.csv: .* two classes at least, but holds 'ant' only",
        ),
        (lambda: DataFile(csv_file(), test_size=12).load(), "In .*own.csv: Argument `test_size` must be a share"),
        (lambda: DataFile(npz_file(x=X, y=Y[:5])).load(), "`y` must hold one label for each of the 12 inputs"),
        (lambda: DataFile(npz_file(x=X, y=Y[:5]), classes=("ant", "bee")).load(), "`y` must hold one label for each"),
        (lambda: DataFile(npz_file(x=X[:, None, None, None], y=Y)).load(), "`x` must have the shape .* but has"),
        (lambda: DataFile(npz_file(x=X * np.nan, y=Y)).load(), "`x` must be finite, but feature 0 of input 0 is nan"),
        (lambda: DataFile(npz_file(x=X)).load(), "must hold the arrays x, y or x_train, .* but holds 'x'"),
        (lambda: DataFile(npz_file(x=X, y=Y, z=Y)).load(), "must hold the arrays x, y .* but holds 'x', 'y', 'z'"),
        (lambda: DataFile(npz_file(x=X, y=Y.astype(object))).load(), "holds objects of Python's, .* dtype=str"),
        (lambda: DataFile(npz_file(x=X, y=Y, class_names=Y)).load(), "`class_names` must hold each name once"),
    ],
)
def test_files_that_are_no_datasets(here, make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_damaged_archives(here):
    content = (here / npz_file()).read_bytes()
    for number, damaged in enumerate((b"", b"PK\3\4", content[:-30], content[: len(content) // 2], b"text")):
        (here / f"{number}.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=f"{number}.npz: cannot be read as arrays"):
            DataFile(f"{number}.npz").load()
    np.save(here / "one.npy", X)
    (here / "one.npy").rename(here / "one.npz")
    with pytest.raises(DataError, match=r"one.npz: must hold several arrays by name, but holds one"):
        DataFile("one.npz").load()


def test_a_link_to_a_file_of_any_name_is_read_by_its_own_name(tmp_path):
    rows = [f"{n % 5}.5,{n * n % 7}.5,{'no' if n % 2 else 'yes'}\n" for n in range(20)]
    (tmp_path / "blob").write_text("a,b,c\n" + "".join(rows))
    (tmp_path / "link.csv").symlink_to(tmp_path / "blob")
    assert DataFile(str(tmp_path / "link.csv")).read().class_names == ("no", "yes")


def test_a_scale_for_vectors_has_no_effect_and_is_refused(tmp_path):
    np.savez(tmp_path / "v.npz", x=np.arange(40.0).reshape(20, 2) ** 2, y=np.arange(20) % 2)
    with pytest.raises(DataError, match="`scale` must be left out for vectors, but was 255"):
        DataFile(str(tmp_path / "v.npz"), scale=255.0).read()
