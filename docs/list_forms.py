"""Write docs/forms.md from the tests' own list of recordings: ``python docs/list_forms.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from forms import FORMS, N_FRAMES, REFUSED_FORMS  # noqa: E402
from recordings import DERIVED, REAL, REFUSED  # noqa: E402
from stills import COMPRESSED  # noqa: E402
from stills import FORMS as IMAGES  # noqa: E402

HEAD = f"""# Forms of recordings

What the tests write or have, and what facehog does with it. This page is written by `docs/list_forms.py`.

## Written by the tests

Each has {N_FRAMES} frames (but where it says otherwise) that show their own number as a bar code. It is read whole
and in chunks of 1, 7, 8 (a GOP) and 16 frames: frame i is the i-th one that plain decodes of PyAV and FFmpeg show,
pixel by pixel, and its descriptors are the same bytes by one decoder and by many.

| form | file | what it is | numbers shown | what facehog does |
|---|---|---|---|---|
"""
IMAGES_HEAD = """
## Folders of numbered images

Frame i is the i-th image in natural order.

| form | suffix |
|---|---|
"""
REFUSED_HEAD = """
## Refused in words

| recording | what it is | error | the message has |
|---|---|---|---|
"""
SHARED_HEAD = """
## Made by cameras and other encoders

Every frame is compared with what PyAV and FFmpeg's own binary decode from the beginning on.

"""

LIMITS = """
## Known limits

- Decoders do not notice every flipped bit. What none of them notices is not marked.
- Where nothing but the frames' own headers tells their order (raw H264 and AVI with B-frames), a frame whose header is
  damaged costs its GOP: nobody can tell which of its frames is which.
- Raw H264, MPEG-TS, Matroska and Flash video do not list their frames. One that is gone without a trace has no number,
  and those behind it have lower ones than they had. A run with damage in such a file says so.
- Frames behind one that makes the decoder forget all others (memory management control operation 5) are marked as
  corrupt up to the next keyframe, though they are not.
- Where packets are counted, each GOP with damage in it is found by reading the file from its beginning.
"""


def write_page() -> str:
    """Return the page."""
    forms = [
        f"| {form} | `{found.name}` | {found.what} | {_in_words(found.shows)} | {found.outcome} |"
        for form, found in FORMS.items()
    ]
    images = [f"| {form} | `.{suffix}` |" for form, (suffix, *_) in (IMAGES | COMPRESSED).items()]
    refused = [
        *(f"| {form} | {found.what} | {_tell(found.error, found.says)} |" for form, found in REFUSED_FORMS.items()),
        *(f"| `{name}` | | {_tell(kind, says)} |" for name, (kind, says) in REFUSED.items()),
    ]
    shared = [f"- `{name}`" for name in REAL + DERIVED]
    parts = ((HEAD, forms), (IMAGES_HEAD, images), (REFUSED_HEAD, refused), (SHARED_HEAD, shared))
    return "".join(head + "".join(f"{row}\n" for row in rows) for head, rows in parts) + LIMITS


def _in_words(numbers: Sequence[int]) -> str:
    """Return numbers as spans: 0-8, 20-28."""
    starts = [place for place, number in enumerate(numbers) if place == 0 or number != numbers[place - 1] + 1]
    spans = [
        (numbers[start], numbers[stop - 1]) for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True)
    ]
    return ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in spans)


def _tell(error: type[Exception], says: str) -> str:
    return f"`{error.__name__}` | {says.replace('.*', ' ... ')}"


if __name__ == "__main__":
    (DOCS / "forms.md").write_text(write_page(), "utf-8")
