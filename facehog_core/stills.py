"""A folder of numbered still images as a recording: frame i is the i-th image in natural order of the names.

An image that cannot be read keeps its number: its frame is lost, and the others stay in their places.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from av.video.frame import VideoFrame

from .errors import ChangedError, RecordingRefusedError, SequenceError, UnreadableError
from .image import DamagedImageError, ImageHeader, UnfitImageError, decode_image, read_header
from .sequence import has_number, number_images
from .source import ImageFile, ImagesDigest, digest_looks, list_images

# In place of a container's name.
IMAGES = "images"
# No camera's still is larger, and it is read whole.
MOST_IMAGE_BYTES = 2**28

_WAIT = "It will be looked at again when it has settled."


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a folder of images is.

    Parameters
    ----------
    header : ImageHeader
        Of its first image that can be read; all have its size.
    n_frames : int
        Images of the sequence, with those that cannot be read.
    size_bytes, mtime_ns : int
        Size of all images, and when one was changed last.
    digest : str
        Of the content of all images: `facehog_core.source.digest_source`.
    looks : str
        `facehog_core.source.digest_looks`.
    remarks : list of str
        What whoever uses the frames must know, a sentence each.
    """

    header: ImageHeader
    n_frames: int
    size_bytes: int
    mtime_ns: int
    digest: str
    looks: str
    remarks: list[str] = field(default_factory=list)


def survey_images(folder: str) -> Survey:
    """Read what the images of a folder say of themselves, and the digest of their content.

    Each image is read once, from its beginning to its end. None is decoded.

    Parameters
    ----------
    folder : str
        An absolute path.

    Returns
    -------
    Survey

    Raises
    ------
    EmptyFileError
        If there are no images.
    SequenceError
        If they are not one sequence, of one size, of grey or colour images.
    UnreadableError
        If the folder or an image may not be read, or not one of the images can be.
    ChangedError
        If an image was changed, added or removed in the meantime.
    OSError
        If the disk or share fails, not the images.
    """
    try:
        images = list_images(folder)
        with _standing_still(folder, images):
            return _survey(folder, images)
    except PermissionError as error:
        fact = f"{Path(error.filename or folder).name} may not be read"
        raise UnreadableError(folder, fact, "Give facehog's user the right to.") from error


def _survey(folder: str, images: Sequence[ImageFile]) -> Survey:
    sequence = number_images(folder, [image.name for image in images])
    frames, content = frozenset(sequence.names), ImagesDigest()
    first: tuple[str, ImageHeader] | None = None
    for image in images:
        stored = _read(folder, image)
        content.add(stored)
        if image.name in frames and (header := _find_header(folder, image.name, stored)):
            first = first or (image.name, header)
            _check_size(folder, image.name, header, *first)
    if first is None:
        fact = f"none of its {len(frames)} images can be read, such as {sequence.names[0]}"
        raise UnreadableError(folder, fact, "Check that they are images, and copy them again.")
    return Survey(
        header=first[1],
        n_frames=len(sequence.names),
        size_bytes=sum(image.size_bytes for image in images),
        mtime_ns=max(image.mtime_ns for image in images),
        digest=content.hexdigest(),
        looks=digest_looks(images),
        remarks=sequence.remarks,
    )


def _read(folder: str, image: ImageFile) -> bytes:
    if image.size_bytes > MOST_IMAGE_BYTES:
        fact = f"{image.name} has {image.size_bytes:,} bytes, and an image has {MOST_IMAGE_BYTES:,} at most"
        raise SequenceError(folder, fact, "Check that it is an image.")
    return Path(folder, image.name).read_bytes()


def _find_header(folder: str, name: str, stored: bytes) -> ImageHeader | None:
    """Return what an image says of itself, None if it cannot be read."""
    try:
        return read_header(stored)
    except DamagedImageError:
        return None
    except UnfitImageError as error:
        raise _unfit(folder, name, error) from error


def _unfit(folder: str, name: str, error: UnfitImageError) -> SequenceError:
    remedy = "Save images of one page, grey of 8 or 16 bits or RGB of 8, and opaque."
    return SequenceError(folder, f"{name} {error}", remedy)


def _check_size(folder: str, name: str, header: ImageHeader, first: str, expected: ImageHeader) -> None:
    if (header.width, header.height) != (expected.width, expected.height):
        sizes = f"{header.width} x {header.height} pixels, and {first} has {expected.width} x {expected.height}"
        raise SequenceError(folder, f"{name} has {sizes}", "Put images of each size into a folder of their own.")


def iter_stills(
    folder: str, looks: str, size: tuple[int, int], start: int, stop: int
) -> Generator[tuple[int, VideoFrame | None, bool]]:
    """Read the frames ``[start, stop)`` of a folder of images.

    Parameters
    ----------
    folder : str
        An absolute path.
    looks : str
        What its images looked like when it was surveyed.
    size : tuple of int
        Width and height of the frames in pixels.
    start, stop : int
        The first frame, and the frame after the last.

    Yields
    ------
    number : int
    frame : av.VideoFrame or None
        In `gray`, `gray16le` or `rgb24`; None if the image cannot be read.
    is_corrupt : bool
        Whether the image is damaged; its frame, if there is one, may be wrong.

    Raises
    ------
    ChangedError
        If the images are not those that were surveyed.
    SequenceError
        If an image is transparent in places.
    OSError
        If the disk or share fails, not the images.
    """
    # Listed in natural order, and found to be one sequence when they were surveyed.
    names = [image.name for image in list_images_unchanged(folder, looks) if has_number(image.name)]
    return _read_stills(folder, names[start:stop], size, start)


def _read_stills(
    folder: str, names: Sequence[str], size: tuple[int, int], start: int
) -> Generator[tuple[int, VideoFrame | None, bool]]:
    for number, name in enumerate(names, start):
        try:
            frame, is_doubtful = decode_image(Path(folder, name).read_bytes())
        except FileNotFoundError as error:
            raise ChangedError(folder, f"{name} is gone", _WAIT) from error
        except DamagedImageError:
            yield number, None, True
        except UnfitImageError as error:
            raise _unfit(folder, name, error) from error
        else:
            # An image whose header lies cannot be told from one that is damaged.
            is_whole = (frame.width, frame.height) == size
            yield number, frame if is_whole else None, is_doubtful or not is_whole


def list_images_unchanged(folder: str, looks: str) -> list[ImageFile]:
    """List the images of a folder, and see that they are those that were surveyed.

    Raises
    ------
    ChangedError
        If they are not.
    """
    try:
        images = list_images(folder)
    except FileNotFoundError:
        images = []
    if digest_looks(images) != looks:
        raise ChangedError(folder, "an image was changed, added or removed since the folder was probed", _WAIT)
    return images


@contextmanager
def _standing_still(folder: str, before: Sequence[ImageFile]) -> Iterator[None]:
    """See that the images look the same in the end: then their growth is the news, not what is wrong with them."""
    try:
        yield
    except (RecordingRefusedError, FileNotFoundError):
        list_images_unchanged(folder, digest_looks(before))
        raise
    list_images_unchanged(folder, digest_looks(before))
