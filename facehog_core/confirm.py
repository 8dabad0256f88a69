"""Confirm that a recording is what whoever made it says, and still what it was when it was probed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .choices import find_sidecar, read_manifest
from .errors import ChangedError, ManifestError
from .manifest import Manifest
from .path_text import as_text
from .receipts import ShardReceipt
from .run_paths import RunPaths
from .sealing import seal_store
from .source import digest_source, is_folder, open_file
from .store import read_work
from .video import VideoInfo, check_unchanged

_BUFFER_BYTES = 1 << 20
_REMEDY = "Copy it again from the rig, or mend that file."


def tell_missing(path: Path, manifest: Manifest, size_bytes: int) -> str | None:
    """Say what of a recording has not arrived yet; None if nothing is known to be missing.

    Raises
    ------
    ManifestError
        If it is larger than it may be.
    """
    wanted = manifest.size_bytes
    if wanted is None or size_bytes == wanted:
        return None
    sidecar = find_sidecar(path)
    if size_bytes > wanted:
        raise _mismatch(sidecar, path, f"size_bytes = {wanted}", f"has {size_bytes}")
    return f"has {size_bytes} of the {wanted} bytes that {as_text(sidecar.name)} names: the rest may still arrive"


def check_manifest(info: VideoInfo) -> None:
    """Check that a recording is what the file beside it says.

    Parameters
    ----------
    info : VideoInfo
        What `probe` found.

    Raises
    ------
    ManifestError
        If it is not.
    ConfigError
        If the file beside it cannot be read.
    OSError
        If the disk or share fails.
    """
    path = Path(info.path)
    manifest, sidecar = read_manifest(path), find_sidecar(path)
    if manifest.size_bytes not in (None, info.size_bytes):
        raise _mismatch(sidecar, path, f"size_bytes = {manifest.size_bytes}", f"has {info.size_bytes}")
    if manifest.n_frames not in (None, info.n_frames):
        raise _mismatch(sidecar, path, f"n_frames = {manifest.n_frames}", f"holds {info.n_frames}")
    if manifest.digest is None:
        return
    algorithm, _, wanted = manifest.digest.partition(":")
    found = info.digest if algorithm == "xxh3_128" else _digest(sidecar, path, algorithm)
    if found != wanted.lower():
        raise _mismatch(sidecar, path, f"digest = {manifest.digest}", f"has {algorithm}:{found}")


def _digest(sidecar: Path, path: Path, algorithm: str) -> str:
    if is_folder(path):
        fact = f"its digest is by {algorithm}, and {path.name} is a folder"
        raise ManifestError(sidecar, fact, "Give that of facehog (xxh3_128), as `facehog probe` tells it, or none.")
    # Told apart from accidents, not from attacks: md5 and sha1 are what rigs write.
    content = hashlib.new(algorithm, usedforsecurity=False)
    with open_file(path) as file:
        while block := file.read(_BUFFER_BYTES):
            content.update(block)
    return content.hexdigest()


def _mismatch(sidecar: Path, path: Path, claim: str, found: str) -> ManifestError:
    return ManifestError(sidecar, f"it says {claim}, and {path.name} {found}", _REMEDY, claim)


def confirm_source(info: VideoInfo) -> None:
    """Check that a recording is byte for byte what was probed, now that all of it has been read.

    A file that is replaced while it is read may keep its size and time.

    Raises
    ------
    ChangedError
        If it is not, or is gone.
    OSError
        If the disk or share fails.
    """
    check_unchanged(info)
    try:
        is_same = digest_source(info.path) == info.digest
    except FileNotFoundError:
        is_same = False
    if not is_same:
        fact = "its content changed while it was processed, though its size and time are the same"
        raise ChangedError(info.path, fact, "It is taken up again as it is now.")
    check_unchanged(info)


def publish(
    paths: RunPaths, receipts: Iterable[ShardReceipt], attributes: Mapping[str, Any], old: Path | None = None
) -> Path:
    """Confirm that a recording is still what was described, and seal its store.

    Parameters
    ----------
    paths, receipts, attributes, old
        As of `facehog_core.sealing.seal_store`.

    Returns
    -------
    Path
        The store under its final name.

    Raises
    ------
    ChangedError
        If the recording is another one now. Nothing is published then.
    StoreError
        As `seal_store` does.
    OSError
        If the disk or share fails.
    """
    # Not so where a seal was cut off right after its last step: that store is this one.
    if paths.working.exists():
        confirm_source(read_work(paths).info)
    return seal_store(paths, receipts, attributes, old)
