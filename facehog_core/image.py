"""One still image: what its header says, and its pixels as a frame.

PNG and JPEG are read by Pillow and TIFF by tifffile, so that pixels are those of `skimage.io.imread`. What is wrong
with an image shows as far as its form lets it: a PNG is under checksums, also a TIFF that is compressed by deflate.
A JPEG is not: libjpeg reads on through damage without a word, so FFmpeg's decoder, told to be strict, is asked for
its opinion too. It notices most of what is larger than a few bits, such as a lost sector, and not all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import av
import numpy as np
import tifffile
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_SIGNATURE = b"\xff\xd8"
# Of what tifffile decodes by itself. Packbits too, but 20 times slower than Pillow does.
_OWN_COMPRESSIONS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.LZMA,
)
_CODECS = {"JPEG": "mjpeg", "MPO": "mjpeg", "PNG": "png"}
_STRICT = {"err_detect": "explode+crccheck+bitstream+buffer"}
_FULL_RANGE = 2  # of AVColorRange
# More than any camera takes; the largest frames of H264 have a quarter of it.
MOST_PIXELS = 2**27
_PNG_DEPTH = 24  # Place of the bit depth in a PNG: signature, length and name of the first chunk, width, height.


_T = TypeVar("_T")


class DamagedImageError(Exception):
    """The image cannot be read: what it holds is not whole."""


class UnfitImageError(Exception):
    """The image can be read, and is none that could be a frame. Its argument completes "the image ..."."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What an image says of itself, without its pixels being decoded.

    Parameters
    ----------
    codec : {"png", "mjpeg", "tiff"}
        FFmpeg's name of its form.
    pixel_format : {"gray", "gray16le", "rgb24"}
        FFmpeg's name of the pixels that `decode_image` gives.
    width, height : int
        In pixels, as stored.
    """

    codec: str
    pixel_format: str
    width: int
    height: int


def read_header(content: bytes) -> ImageHeader:
    """Read what an image says of itself.

    Parameters
    ----------
    content : bytes
        All of the image's file.

    Returns
    -------
    ImageHeader

    Raises
    ------
    DamagedImageError
        If it cannot be read.
    UnfitImageError
        If its pixels are no grey or colour of 8 bits and no grey of 16 bits, or it holds several pictures.
    """
    is_tiff = content.startswith(_TIFF_SIGNATURES)
    return _guarded(_read_tiff_header if is_tiff else _read_plain_header, content)


def decode_image(content: bytes) -> tuple[VideoFrame, bool]:
    """Decode an image.

    Parameters
    ----------
    content : bytes
        All of the image's file.

    Returns
    -------
    av.VideoFrame
        In `gray` (also an image in colours that are all grey), `gray16le` or `rgb24`; full range.
    bool
        Whether its pixels may be wrong: FFmpeg finds fault with the image.

    Raises
    ------
    DamagedImageError, UnfitImageError
        As `read_header` does; also if pixels are transparent.
    """
    decode = _decode_tiff if content.startswith(_TIFF_SIGNATURES) else _decode_plain
    frame = _guarded(lambda stored: _frame_of(decode(stored)), content)
    is_doubtful = content.startswith(_JPEG_SIGNATURE) and not _passes_ffmpeg(content)
    return frame, is_doubtful


def _guarded(read: Callable[[bytes], _T], content: bytes) -> _T:
    try:
        return read(content)
    except (UnfitImageError, MemoryError):
        raise
    # The content is in memory, so it is not the disk's fault; and what is damaged makes Pillow and tifffile raise
    # nearly anything (OSError, SyntaxError, ValueError, IndexError, struct.error, zlib.error, ...).
    except Exception as error:
        raise DamagedImageError(str(error)) from error


def _frame_of(pixels: NDArray[Any]) -> VideoFrame:
    # One grey needs no colours. Looked for in each image: a camera's program may store grey as colour.
    if pixels.ndim == 3 and all((pixels[..., 0] == pixels[..., other]).all() for other in (1, 2)):
        pixels = pixels[..., 0]
    name = "rgb24" if pixels.ndim == 3 else "gray16le" if pixels.dtype.itemsize == 2 else "gray"
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
    frame.color_range = _FULL_RANGE
    return frame


def _check_extent(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnfitImageError(f"says that it has {width} x {height} pixels")


# -- PNG and JPEG: Pillow ---------------------------------------------------------------------------------


def _open_plain(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content), formats=("PNG", "JPEG"))
    _check_extent(image.width, image.height)
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise UnfitImageError("is animated")
    return image


def _read_plain_header(content: bytes) -> ImageHeader:
    image = _open_plain(content)
    return ImageHeader(
        codec=_CODECS[image.format or ""],
        pixel_format=_pixel_format_of(image, content),
        width=image.width,
        height=image.height,
    )


def _pixel_format_of(image: Image.Image, content: bytes) -> str:
    is_deep = image.format == "PNG" and content[_PNG_DEPTH] == 16
    match image.mode:
        case "1" | "L" | "LA" if not is_deep:
            return "gray"
        case "I;16" | "I" if is_deep:
            return "gray16le"
        case "RGB" | "RGBA" | "P" | "PA" if not is_deep:
            return "rgb24"
    depth = " of 16 bits" if is_deep else ""
    raise UnfitImageError(f"has {image.mode} pixels{depth}")


def _decode_plain(content: bytes) -> NDArray[Any]:
    image = _open_plain(content)
    if _pixel_format_of(image, content) == "gray16le":
        return np.asarray(image).astype("<u2")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        _check_opaque(np.asarray(image)[..., 3])
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _check_opaque(alpha: NDArray[Any]) -> None:
    if alpha.min() != np.iinfo(alpha.dtype).max:
        raise UnfitImageError("is transparent in places")


def _passes_ffmpeg(content: bytes) -> bool:
    """Ask FFmpeg, at its strictest, whether a JPEG is whole. What it does not know is no fault."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = _STRICT
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    except av.InvalidDataError:
        return False
    except av.FFmpegError:
        return True
    return not any(frame.is_corrupt for frame in frames)


# -- TIFF: tifffile, and Pillow for the compressions that it lacks ------------------------------------------


def _read_tiff_header(content: bytes) -> ImageHeader:
    with tifffile.TiffFile(BytesIO(content)) as tiff:
        page = _only_page(tiff)
        return ImageHeader(
            codec="tiff",
            pixel_format=_check_page(page),
            width=page.imagewidth,
            height=page.imagelength,
        )


def _decode_tiff(content: bytes) -> NDArray[Any]:
    with tifffile.TiffFile(BytesIO(content)) as tiff:
        page = _only_page(tiff)
        pixel_format = _check_page(page)
        if page.compression not in _OWN_COMPRESSIONS:
            return _decode_by_pillow(content, page, pixel_format)
        pixels: NDArray[Any] = page.asarray()
    if page.bitspersample == 1:
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixel_format != "rgb24":
        return pixels.astype(pixels.dtype.newbyteorder("<"))
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        pixels = np.moveaxis(pixels, 0, -1)
    if page.samplesperpixel > 3:
        _check_opaque(pixels[..., 3])
    return pixels[..., :3]


def _only_page(tiff: tifffile.TiffFile) -> Any:
    """Return the image of a TIFF that holds but one."""
    page: Any = tiff.pages[0]
    n_images = (tiff.imagej_metadata or {}).get("images", 1) if tiff.is_imagej else 1
    try:
        tiff.pages[1]
    except IndexError:
        if n_images == 1:
            return page
    raise UnfitImageError("is a stack of several pages")


def _check_page(page: Any) -> str:
    """Return the format of a page's pixels."""
    _check_extent(page.imagewidth, page.imagelength)
    kind, bits, n_samples = page.photometric, page.bitspersample, page.samplesperpixel
    is_plain = page.sampleformat == tifffile.SAMPLEFORMAT.UINT and page.imagedepth == 1
    if is_plain and kind == tifffile.PHOTOMETRIC.MINISBLACK and n_samples == 1 and bits in (1, 8, 16):
        return "gray16le" if bits == 16 else "gray"
    if is_plain and kind == tifffile.PHOTOMETRIC.RGB and n_samples in (3, 4) and bits == 8:
        return "rgb24"
    names = getattr(kind, "name", kind), getattr(page.sampleformat, "name", page.sampleformat)
    raise UnfitImageError(f"has {names[0]} pixels of {n_samples} x {bits} bits ({names[1]})")


def _decode_by_pillow(content: bytes, page: Any, pixel_format: str) -> NDArray[Any]:
    image = Image.open(BytesIO(content), formats=("TIFF",))
    name = getattr(page.compression, "name", page.compression)
    try:
        pixels = np.asarray(image)
    except OSError as error:
        if "not available" in str(error):
            raise UnfitImageError(f"is compressed by {name}, which cannot be read here") from error
        raise
    expected = np.dtype(np.uint16 if pixel_format == "gray16le" else np.uint8)
    # Pillow turns an image as its tag says; as stored is what is wanted.
    if pixels.shape[:2] != (page.imagelength, page.imagewidth) or _orientation_of(page) != 1:
        raise UnfitImageError(f"is compressed by {name} and turned")
    if pixels.dtype == np.bool_:
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixels.dtype.newbyteorder("=") != expected:
        raise UnfitImageError(f"has pixels of {pixels.dtype} under compression by {name}")
    if pixels.ndim == 3 and pixels.shape[2] > 3:
        _check_opaque(pixels[..., 3])
        pixels = pixels[..., :3]
    return pixels.astype(expected)


def _orientation_of(page: Any) -> int:
    tag = page.tags.get("Orientation")
    return 1 if tag is None else int(tag.value)
