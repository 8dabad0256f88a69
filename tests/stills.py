"""Folders of images that carry their own frame numbers, in every form that is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from barcode import draw
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[Any]
Writer = Callable[[Path, Pixels], Any]


def draw_colour(number: int) -> Pixels:
    """Draw a numbered frame whose colours differ from each other."""
    grey = draw(number).astype(np.int64)
    rows, cols = np.indices(grey.shape)
    shifts = [25 * np.sin(cols / 5), 20 * np.cos(rows / 4), 30 * np.sin((rows + cols) / 6)]
    return np.stack([np.clip(grey + shift, 0, 255) for shift in shifts], axis=-1).astype(np.uint8)


def draw_deep(number: int) -> Pixels:
    """Draw a numbered frame of 16 bits that no 8 bits hold."""
    grey = draw(number).astype(np.uint16)
    return grey * 256 + np.arange(grey.size, dtype=np.uint16).reshape(grey.shape) % 256


def by_pillow(**options: Any) -> Writer:
    """Return a function that writes an image with Pillow."""
    return lambda path, pixels: Image.fromarray(pixels).save(path, **options)


def by_tifffile(**options: Any) -> Writer:
    """Return a function that writes an image with tifffile."""
    return lambda path, pixels: tifffile.imwrite(path, pixels, **options)


def by_planes(path: Path, pixels: Pixels) -> None:
    """Write colours one after the other."""
    tifffile.imwrite(path, np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")


# What an image can look like: suffix, what is drawn, and how it is written.
FORMS: dict[str, tuple[str, Callable[[int], Pixels], Writer]] = {
    "png": ("png", draw, by_pillow()),
    "png, colour": ("png", draw_colour, by_pillow()),
    "png, 16 bits": ("png", draw_deep, by_pillow()),
    "jpg": ("jpg", draw, by_pillow(quality=90)),
    "jpg, colour": ("jpg", draw_colour, by_pillow(quality=90)),
    "jpg, colour, progressive": ("JPEG", draw_colour, by_pillow(quality=95, subsampling=0, progressive=True)),
    "tif": ("tif", draw, by_tifffile()),
    "tif, colour": ("tif", draw_colour, by_tifffile(photometric="rgb")),
    "tif, colour by planes": ("tif", draw_colour, by_planes),
    "tif, 16 bits": ("tif", draw_deep, by_tifffile()),
    "tif, 16 bits, big-endian": ("tif", draw_deep, by_tifffile(byteorder=">")),
    "tif, deflate": ("tiff", draw, by_tifffile(compression="zlib", predictor=True)),
    "tif, tiles": ("tif", draw, by_tifffile(tile=(32, 32))),
    "tif, 64 bit": ("TIF", draw, by_tifffile(bigtiff=True)),
    "tif, packbits": ("tif", draw, by_pillow(compression="packbits")),
}
# What `skimage.io` does not read without more libraries; nothing is lost in them.
COMPRESSED: dict[str, tuple[str, Callable[[int], Pixels], Writer]] = {
    "tif, lzw": ("tif", draw, by_pillow(compression="tiff_lzw")),
    "tif, lzw, colour": ("tif", draw_colour, by_pillow(compression="tiff_lzw")),
    "tif, lzw, 16 bits": ("tif", draw_deep, by_pillow(compression="tiff_lzw")),
}


def write_stills(folder: Path, n_frames: int, form: str = "png", *, name: str = "img{}") -> Path:
    """Write a folder of numbered frames; the names' numbers are not padded unless the form of the name says so."""
    suffix, draw_frame, write = (FORMS | COMPRESSED)[form]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_frames):
        write(folder / f"{name.format(number)}.{suffix}", draw_frame(number))
    return folder
