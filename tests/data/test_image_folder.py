"""Folders of images by class: every common kind of PNG and JPEG is read as it is seen, and the rest refused by name."""

import os

import numpy as np
import pytest
from PIL import Image

from qdistill.data.image_folder import read_folder
from qdistill.errors import DataError

pytestmark = pytest.mark.usefixtures("unchecked")

GREY = (np.arange(12, dtype=np.uint8) * 20).reshape(4, 3)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


@pytest.fixture
def save(tmp_path):
    """Writes an image below a folder, which it returns."""

    def write(name, pixels=GREY, **options):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
        return tmp_path / "own"

    return write


def test_classes_are_folders_and_images_are_in_the_order_of_their_names(save):
    for name in ("b/2.png", "b/10.png", "a/x.PNG", ".hidden/1.png"):
        folder = save(name, GREY + len(name))
    (folder / ".DS_Store").write_bytes(b"")
    (folder / "a" / "Thumbs.db").write_bytes(b"")

    found = read_folder(folder)

    assert found.labels == (("a", "b", "b"),)
    assert (found.images[0].shape, found.images[0].dtype, found.scale) == ((3, 4, 3, 1), np.uint8, 255.0)
    np.testing.assert_array_equal(
        found.images[0][..., 0], [GREY + len(name) for name in ("a/x.PNG", "b/10.png", "b/2.png")]
    )


def test_folders_of_parts_are_the_division(save):
    for name in ("train/a/1.png", "train/b/1.png", "train/b/2.png", "test/a/1.png"):
        folder = save(name)

    found = read_folder(folder)

    assert found.labels == (("a", "b", "b"), ("a",))
    assert [len(part) for part in found.images] == [3, 1]


PALETTE = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
KINDS = {
    "grey": (Image.fromarray(GREY), GREY[..., None], 255.0),
    "colour": (Image.fromarray(COLOUR), COLOUR, 255.0),
    "a palette": (PALETTE, np.asarray(PALETTE.convert("RGB")), 255.0),
    "black and white": (Image.fromarray(GREY > 99), (GREY > 99)[..., None], 1.0),
    "16 bits": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY[..., None] * np.float32(257), 65535.0),
}


@pytest.mark.parametrize(("image", "pixels", "scale"), KINDS.values(), ids=KINDS)
def test_kinds_of_png(save, image, pixels, scale):
    found = read_folder(save("a/1.png", image))

    np.testing.assert_array_equal(found.images[0][0], pixels)
    assert found.scale == scale


def test_jpeg_is_near_and_of_the_same_shape(save):
    smooth = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 6

    found = read_folder(save("a/1.jpeg", smooth, quality=95))

    np.testing.assert_allclose(found.images[0][0, ..., 0], smooth, atol=6)


def test_a_photograph_that_was_taken_with_the_camera_on_its_side_is_upright(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture has to be turned by 90 degrees, clockwise

    found = read_folder(save("a/1.png", GREY, exif=exif))

    np.testing.assert_array_equal(found.images[0][0, ..., 0], np.rot90(GREY, -1))


TRANSPARENT = Image.fromarray(np.dstack([COLOUR, GREY]))
SEVERAL = {"save_all": True, "append_images": [Image.fromarray(255 - GREY)]}


@pytest.mark.parametrize(
    ("name", "image", "options", "message"),
    [
        (
            "b/1.png",
            GREY.T.copy(),
            {},
            "b/1.png: must be 3 pixels wide and 4 high as .*a/1.png is, but is 4 wide and 3",
        ),
        ("b/1.png", COLOUR, {}, "b/1.png: must have pixels of the mode L as .*a/1.png has, but has RGB"),
        ("b/1.png", TRANSPARENT, {}, "b/1.png: must be .* without transparency, but has the mode RGBA"),
        ("b/1.png", GREY, {"transparency": 3}, "b/1.png: must be .* has the mode L and transparent pixels"),
        ("b/1.jpg", Image.fromarray(COLOUR).convert("CMYK"), {}, "b/1.jpg: must be .* has the mode CMYK"),
        ("b/1.png", GREY, SEVERAL, "b/1.png: must be one picture, but has 2 frames"),
        ("b/1.gif", GREY, {}, "b/1.gif: must be a PNG or JPEG file .*, but is another file"),
        ("b/c/1.png", GREY, {}, "b/c: must be a PNG or JPEG file .*, but is a folder"),
        ("1.png", GREY, {}, "1.png: must lie in a folder of its class, such as .*CLASS/1.png"),
    ],
)
def test_images_that_do_not_fit(save, name, image, options, message):
    save("a/1.png")
    with pytest.raises(DataError, match=message):
        read_folder(save(name, image, **options))


def test_files_that_are_no_images(save):
    folder = save("a/1.png")
    content = (folder / "a" / "1.png").read_bytes()
    for broken, message in (
        (b"", "must be a PNG or JPEG image"),
        (b"GIF89a" + content, "must be a PNG or JPEG image"),
        (content[:-20], "cannot be read as an image"),
        (content[:45] + bytes(4) + content[49:], "cannot be read as an image"),
    ):
        (folder / "a" / "2.png").write_bytes(broken)
        with pytest.raises(DataError, match=f"a/2.png: {message}"):
            read_folder(folder)


def test_an_image_that_would_fill_the_memory_is_refused(save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with pytest.raises(DataError, match=r"a/1.png: must be a PNG or JPEG image, .* decompression bomb"):
        read_folder(save("a/1.png"))


def test_folders_without_images(tmp_path, save):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: must hold one folder of images for each class, but is empty"):
        read_folder(tmp_path / "empty")
    folder = save("a/1.png")
    (folder / "b").mkdir()
    with pytest.raises(DataError, match="b: must hold the images of its class, but is empty"):
        read_folder(folder)
    with pytest.raises(DataError, match="none: cannot be read: No such file"):
        read_folder(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user whom files are closed to")
def test_a_file_that_may_not_be_read(save):
    folder = save("a/1.png")
    (folder / "a" / "1.png").chmod(0)
    with pytest.raises(DataError, match=r"a/1.png: cannot be read"):
        read_folder(folder)
