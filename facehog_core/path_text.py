"""Names of files as text that everything takes, and back.

A name on a disk need not be valid Unicode: Python has a lone surrogate in it then, which no database, no JSON and no
terminal takes. As text such a code unit is ``�`` and its number in four hexadecimal digits: the byte FF of a Linux name
is ``�DCFF``. A ``�`` that stands in a name is ``�FFFD``. All other names, nearly all there are, stay as they are.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess

_MARK = "\N{REPLACEMENT CHARACTER}"
_UNTYPED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# NUL is in no name on a disk, but what a library says of a damaged file may have it, and PostgreSQL does not take it.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_TO_MARK = re.compile(f"[\ud800-\udfff{_MARK}]")
_MARKED = re.compile(f"{_MARK}([0-9A-F]{{4}})")


def as_text(path: str | os.PathLike[str]) -> str:
    """Return a path, or a part of one, as text; `from_text` gives it back."""
    return _TO_MARK.sub(_mark, os.fspath(path))


def as_word(path: str | os.PathLike[str]) -> str:
    """Return a path as text that a shell takes for one word."""
    return subprocess.list2cmdline([as_text(path)]) if os.name == "nt" else shlex.quote(as_text(path))


def from_text(text: str) -> str:
    """Return the path of which `as_text` made a text."""
    return _MARKED.sub(lambda marked: chr(int(marked[1], 16)), text)


def showable(message: str) -> str:
    """Return a message, of which names of files may be a part, as text; one that is text already stays as it is."""
    return _NO_TEXT.sub(_mark, message)


def printable(text: str) -> str:
    """Return a text with no control characters, which could command a terminal; `from_text` gives them back."""
    return _CONTROL.sub(_mark, text)


def as_typed(name: str) -> str:
    """Return a name that can be typed, and is no longer: ``_`` stands for control characters and invalid Unicode."""
    return _UNTYPED.sub("_", name)


def _mark(found: re.Match[str]) -> str:
    return f"{_MARK}{ord(found[0]):04X}"
