from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pims
import pytest
import tifffile
from barcode import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import io as skio
from stills import COMPRESSED, FORMS, draw_colour, draw_deep

from facehog_core import image as image_module
from facehog_core.grey import grey_of
from facehog_core.image import DamagedImageError, UnfitImageError, decode_image, read_header

HEIGHT, WIDTH = draw(0).shape


def write(folder: Path, form: str, number: int = 5) -> Path:
    suffix, draw_frame, write_image = (FORMS | COMPRESSED)[form]
    path = folder / f"image.{suffix}"
    write_image(path, draw_frame(number))
    return path


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode_tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def grey_levels_of(content: bytes) -> NDArray[np.float64]:
    frame, is_doubtful = decode_image(content)
    assert not is_doubtful
    return grey_of(frame).to_float()


def origins_grey(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Make grey as the 2020 scripts do, from 0 to 255."""
    if pixels.ndim == 3:
        return np.asarray(pims.as_grey(pixels))
    return pixels * (255 / 65535) if pixels.dtype == np.uint16 else pixels.astype(np.float64)


# -- what is read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_pixels_are_those_that_scikit_image_reads(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)

    np.testing.assert_array_equal(grey_levels_of(path.read_bytes()), origins_grey(skio.imread(path)))


@pytest.mark.parametrize("form", COMPRESSED)
def test_pixels_are_those_that_were_written(tmp_path: Path, form: str) -> None:
    _, draw_frame, _ = COMPRESSED[form]

    np.testing.assert_array_equal(
        grey_levels_of(write(tmp_path, form).read_bytes()), origins_grey(draw_frame(5)), strict=True
    )


@pytest.mark.parametrize("form", FORMS | COMPRESSED)
def test_the_header_tells_what_the_pixels_are(tmp_path: Path, form: str) -> None:
    content = write(tmp_path, form).read_bytes()
    header, (frame, _) = read_header(content), decode_image(content)

    assert (header.width, header.height) == (frame.width, frame.height) == (WIDTH, HEIGHT)
    assert header.pixel_format == frame.format.name
    assert {"png": "png", "jpg": "mjpeg", "tif": "tiff"}[form[:3]] == header.codec


def test_grey_that_is_stored_as_grey_takes_the_fast_way() -> None:
    grey, colour = draw(3), np.dstack([draw(3)] * 3)
    palette = Image.fromarray(grey).convert("P")
    for content in (
        encode(Image.fromarray(grey)),
        encode(Image.fromarray(colour)),
        encode(Image.fromarray(np.dstack([colour, np.full_like(grey, 255)]))),
        encode(palette),
        encode(Image.merge("LA", [Image.fromarray(grey), Image.new("L", (WIDTH, HEIGHT), 255)])),
        encode_tiff(colour, photometric="rgb"),
        encode_tiff(np.dstack([colour, np.full_like(grey, 255)]), photometric="rgb", extrasamples=["unassalpha"]),
    ):
        frame, _ = decode_image(content)
        found = grey_of(frame)
        assert (frame.format.name, found.way) == ("gray", "luma table")
        np.testing.assert_array_equal(found.to_float(), grey)


@pytest.mark.parametrize("other", [0, 1, 2])
def test_one_colour_that_differs_in_one_pixel_is_colour(other: int) -> None:
    pixels = np.dstack([draw(3)] * 3)
    pixels[-1, -1, other] += 9
    frame, _ = decode_image(encode(Image.fromarray(pixels)))
    assert frame.format.name == "rgb24"
    np.testing.assert_array_equal(grey_of(frame).to_float(), origins_grey(pixels))


def test_black_and_white_are_the_ends_of_grey() -> None:
    pixels = draw(3) > 100
    for content in (
        encode(Image.fromarray(pixels)),
        encode_tiff(pixels, photometric="minisblack"),
        encode(Image.fromarray(pixels), "TIFF", compression="tiff_lzw"),
    ):
        np.testing.assert_array_equal(grey_levels_of(content), pixels * 255.0)


def test_grey_of_16_bits_keeps_its_fractions_and_is_told_from_8() -> None:
    frame, _ = decode_image(encode(Image.fromarray(draw_deep(3))))

    assert grey_of(frame).way == "16-bit grey"
    assert np.unique(grey_of(frame).to_float()).size > 256
    assert grey_of(frame).to_uint8().tolist() == np.rint(draw_deep(3) / 257).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (7, 33), (97, 161)])
def test_odd_sizes_are_read(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for content in (encode(Image.fromarray(pixels)), encode_tiff(pixels, photometric="rgb")):
        np.testing.assert_array_equal(grey_levels_of(content), origins_grey(pixels))


def test_an_image_is_as_it_is_stored_whichever_way_up_it_was_taken() -> None:
    pixels = draw(3)
    exif = Image.Exif()
    exif[274] = 6  # Orientation: turned by 90 degrees.
    turned = encode(Image.fromarray(pixels), "JPEG", exif=exif), encode_tiff(pixels, extratags=[(274, 3, 1, 6, True)])
    for content in turned:
        assert (read_header(content).width, read_header(content).height) == (WIDTH, HEIGHT)
        assert grey_levels_of(content).shape == (HEIGHT, WIDTH)


# -- what is refused in words -----------------------------------------------------------------------------

GREY, COLOUR = Image.fromarray(draw(3)), Image.fromarray(draw_colour(3))
GLASS = Image.fromarray(np.dstack([draw_colour(3), draw(3)]))
UNFIT: dict[str, tuple[bytes, str]] = {
    "animated": (encode(GREY, save_all=True, append_images=[COLOUR.convert("L")]), "is animated"),
    "transparent": (encode(GLASS), "is transparent in places"),
    "a transparent colour": (encode(GREY, transparency=40), "is transparent in places"),
    "transparent tif": (
        encode_tiff(np.asarray(GLASS), photometric="rgb", extrasamples=["unassalpha"]),
        "is transparent in places",
    ),
    "printer's colours": (encode(COLOUR.convert("CMYK"), "JPEG"), "has CMYK pixels"),
    "16-bit colour": (
        encode_tiff(np.asarray(COLOUR).astype(np.uint16), photometric="rgb"),
        "RGB pixels of 3 x 16 bits",
    ),
    "fractions": (encode_tiff(draw(3).astype(np.float32)), "32 bits .IEEEFP"),
    "signed": (encode_tiff(draw_deep(3).astype(np.int16)), "16 bits .INT"),
    "negative": (encode_tiff(draw(3), photometric="miniswhite"), "has MINISWHITE pixels"),
    "a palette in a tif": (encode(COLOUR.convert("P"), "TIFF"), "has PALETTE pixels"),
    "a stack": (encode_tiff(np.stack([draw(3), draw(4)]), photometric="minisblack"), "stack of several pages"),
    "a stack of ImageJ's": (encode_tiff(np.stack([draw(3), draw(4)]), imagej=True), "stack of several pages"),
    "turned and compressed": (
        encode(GREY, "TIFF", compression="tiff_lzw", tiffinfo={274: 6}),
        "compressed by LZW and turned",
    ),
}


def png_of_16_bit_colour() -> bytes:
    """Return a PNG that Pillow writes no more than it reads: 16 bits a colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = (4).to_bytes(4) + (2).to_bytes(4) + bytes([16, 2, 0, 0, 0])
    lines = zlib.compress((b"\0" + bytes(range(24))) * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


UNFIT["16-bit colour png"] = png_of_16_bit_colour(), "RGB pixels of 16 bits"


@pytest.mark.parametrize("kind", UNFIT)
def test_what_could_be_no_frame_is_refused_in_words(kind: str) -> None:
    content, said = UNFIT[kind]
    with pytest.raises(UnfitImageError, match=said):
        decode_image(content)


@pytest.mark.parametrize("kind", [kind for kind in UNFIT if kind not in ("turned and compressed",)])
def test_the_header_alone_tells_what_could_be_no_frame_but_for_transparency(kind: str) -> None:
    content, said = UNFIT[kind]
    if "transparent" in said:
        assert read_header(content).pixel_format in ("gray", "rgb24")
        return
    with pytest.raises(UnfitImageError, match=said):
        read_header(content)


@pytest.mark.parametrize("content", [encode(GREY), encode(GREY, "JPEG"), encode_tiff(draw(3), compression="zlib")])
def test_a_header_that_claims_too_much_is_not_believed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(image_module, "MOST_PIXELS", WIDTH * HEIGHT - 1)
    for read in (read_header, decode_image):
        with pytest.raises(UnfitImageError, match=f"says that it has {WIDTH} x {HEIGHT} pixels"):
            read(content)


# -- damage -----------------------------------------------------------------------------------------------

FACE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)).resize((320, 240))
SOUND = {
    "png": encode(FACE),
    "jpg": encode(FACE, "JPEG", quality=90),
    "tif": encode_tiff(np.asarray(FACE)),
    "tif, deflate": encode_tiff(np.asarray(FACE), compression="zlib"),
    "tif, lzw": encode(FACE, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", SOUND)
@given(data=st.data())
def test_an_image_that_was_cut_off_is_damaged_wherever_it_was_cut(kind: str, data: st.DataObject) -> None:
    content = SOUND[kind]
    # Without the last 20 bytes of a PNG (two checksums, and a chunk that says that it has ended) all pixels are there.
    cut = content[: data.draw(st.integers(0, len(content) - (21 if kind == "png" else 3)))]
    with pytest.raises(DamagedImageError):
        decode_image(cut)


@pytest.mark.parametrize("kind", ["png", "tif, deflate"])
@given(data=st.data())
def test_a_flipped_bit_is_found_where_there_are_checksums(kind: str, data: st.DataObject) -> None:
    content = bytearray(SOUND[kind])
    # Behind the header, in front of what a TIFF's or PNG's end says.
    content[data.draw(st.integers(len(content) // 3, len(content) - 40))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedImageError):
        decode_image(bytes(content))


@pytest.fixture(scope="module")
def face(videos_dir: Path) -> bytes:
    """Return a JPEG of a mouse's face, as large as a camera's."""
    return encode(Image.fromarray(np.load(videos_dir / "stills" / "ibl_frames_left.npy")[0]), "JPEG", quality=90)


@given(start=st.integers(700, 200_000))
def test_lost_sectors_of_a_jpeg_are_noticed_though_its_decoder_reads_on(face: bytes, start: int) -> None:
    content = bytearray(face)
    content[start : start + 4096] = bytes(4096)
    try:
        _, is_doubtful = decode_image(bytes(content))
    except DamagedImageError:
        return
    assert is_doubtful


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("jpg")])
@pytest.mark.parametrize("quality", [30, 75, 100])
@pytest.mark.parametrize("shape", [(8, 8), (97, 161)])
def test_a_sound_jpeg_is_not_doubted(form: str, quality: int, shape: tuple[int, int]) -> None:
    pixels = FORMS[form][1](3)[: shape[0], : shape[1]]
    for options in (
        {},
        {"optimize": True},
        {"progressive": True},
        {"restart_marker_blocks": 2},
        {"comment": b"FF\xff"},
    ):
        _, is_doubtful = decode_image(encode(Image.fromarray(pixels), "JPEG", quality=quality, **options))
        assert not is_doubtful


def flip(content: bytearray, place: int) -> None:
    content[place] ^= 0x20


def wipe(content: bytearray, place: int) -> None:
    content[place : place + 64] = bytes(64)


def shorten(content: bytearray, place: int) -> None:
    del content[place:]


@pytest.mark.parametrize("kind", SOUND)
@settings(max_examples=60)
@given(st.sampled_from([flip, wipe, shorten]), st.data())
def test_no_damage_makes_another_error(
    kind: str, damage: Callable[[bytearray, int], None], data: st.DataObject
) -> None:
    content = bytearray(SOUND[kind])
    # Where most of what steers a reader is: at both ends.
    place = data.draw(st.integers(0, 400) | st.integers(len(content) - 400, len(content) - 1))
    damage(content, place)
    for read in (read_header, decode_image):
        try:
            read(bytes(content))
        except (DamagedImageError, UnfitImageError):
            continue


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no image", b"GIF89a" + bytes(50), b"%PDF-1.7"])
def test_what_is_no_image_is_damaged(content: bytes) -> None:
    for read in (read_header, decode_image):
        with pytest.raises(DamagedImageError):
            read(content)
