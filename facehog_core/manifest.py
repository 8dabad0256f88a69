"""What whoever made a recording says of it, in the file beside it: how large it is, how many frames, which bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# As `hashlib` names them, but for the first, which is facehog's own.
ALGORITHMS = {"xxh3_128": 32, "md5": 32, "sha1": 40, "sha256": 64}

#: The keys of a `Manifest`, and what completes the sentence "<key> must be ...".
MANIFEST_KEYS = {
    "size_bytes": "a whole number of bytes from 1 on",
    "n_frames": "a whole number of frames from 1 on",
    "digest": f"such as 'sha256:9f86d0...', by one of {', '.join(ALGORITHMS)}, in hexadecimal digits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a recording must be.

    Parameters
    ----------
    size_bytes : int, optional
        Of the file; of all images of a folder.
    n_frames : int, optional
    digest : str, optional
        Of the file's content: the algorithm, a colon and hexadecimal digits.

    Raises
    ------
    ValueError
        If a value is none of these.
    """

    size_bytes: int | None = None
    n_frames: int | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        for name in ("size_bytes", "n_frames"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name} must be {MANIFEST_KEYS[name]}, got {value!r}")
        if self.digest is not None and not _is_digest(self.digest):
            raise ValueError(f"digest must be {MANIFEST_KEYS['digest']}, got {self.digest!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Make it of what TOML or JSON has under the keys of `MANIFEST_KEYS`; other keys are passed over.

        Raises
        ------
        ValueError
            If a value is wrong.
        """
        return cls(**{name: values[name] for name in MANIFEST_KEYS if name in values})

    @property
    def claims(self) -> list[str]:
        """What is said, as it stands in messages."""
        return [f"{name} = {value}" for name, value in asdict(self).items() if value is not None]


def _is_digest(value: object) -> bool:
    if not isinstance(value, str):
        return False
    algorithm, _, digits = value.partition(":")
    return len(digits) == ALGORITHMS.get(algorithm) and re.fullmatch(r"[0-9a-fA-F]+", digits) is not None
