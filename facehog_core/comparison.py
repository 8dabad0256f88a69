"""What differs between two runs, and whether their numbers may be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import RecipeError
from .filters import And, Filter, Not, Or, any_of
from .provenance import RunRecord
from .quality import MEASURED, median_of
from .recipe import Recipe

# What of a recipe says which frames are described, when they were taken, and when to give up, but not what is written
# of a frame. The place of the crop is chosen for the face: its size counts, since features follow from it.
_WITHOUT_A_SAY = ("with_images", "frames", "max_corrupt", "stream", "frame_rate", "timestamps", "reference", "crop")


# Degrees after which width is still width. Only quarter turns are applied.
_UPRIGHT = (0, 180, -180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A thing that two runs do not have in common.

    Parameters
    ----------
    about : str
        ``"source"``, ``"parameters"``, ``"software"``, ``"host"`` or ``"results"``.
    name : str
    first, second : object
        What each of the runs has.
    """

    about: str
    name: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the numbers of two runs were made alike, so that they may be compared as far as what they show may.

    Parameters
    ----------
    answer : str
        ``"yes"``, ``"with care"`` or ``"no"``.
    reasons : list of str
        Why not, or with what care; empty for yes.
    differences : list of Difference
    remarks : list of str, optional
        What else to think of: that they show another subject, by another camera, or in frames of another size.
    """

    answer: str
    reasons: list[str]
    differences: list[Difference]
    remarks: list[str] = field(default_factory=list)


def compare_runs(first: RunRecord, second: RunRecord) -> Verdict:
    """Say what differs between two runs, and whether their numbers may be compared."""
    differences = [*_compare_sources(first, second), *_compare_how(first, second), *_compare_results(first, second)]
    against = list(_find_obstacles(first, second))
    care = [
        f"other versions may write other last bits: {difference.name} {difference.first} and {difference.second}"
        for difference in differences
        if difference.about == "software"
    ]
    answer = "no" if against else "with care" if care else "yes"
    remarks = list(_find_remarks(first, second))
    return Verdict(answer=answer, reasons=against or care, differences=differences, remarks=remarks)


def find_comparable(record: RunRecord, known: Iterable[tuple[str, Mapping[str, Any]]]) -> Filter:
    """Return a filter for the finished runs whose numbers may be compared with those of one.

    Parameters
    ----------
    record : RunRecord
    known : iterable of (str, dict)
        Digest and recipe of all parameters that there are.
    """
    recipe, (width, height) = Recipe.from_dict(record.recipe), _size_of(record)
    alike = [
        (digest, found)
        for digest, values in known
        if (found := _read_known(values)) and _shaping(found) == _shaping(recipe)
    ]
    cropped = {
        digest for digest, found in alike if found.crop and (found.crop.width, found.crop.height) == (width, height)
    }
    whole = {digest for digest, found in alike if found.crop is None}
    fitting: list[Filter] = []
    if cropped:
        fitting.append(any_of("parameters", *sorted(cropped)))
    if whole:
        fits: Filter = And((any_of("width", width), any_of("height", height)))
        if recipe.apply_rotation:
            turned = And((any_of("width", height), any_of("height", width)))
            is_upright = any_of("rotation", *_UPRIGHT)
            fits = Or((And((is_upright, fits)), And((Not(is_upright), turned))))
        fitting.append(And((any_of("parameters", *sorted(whole)), fits)))
    return And((any_of("state", "finished"), Or(tuple(fitting)), Not(any_of("run", record.run_id or ""))))


def _read_known(values: Mapping[str, Any]) -> Recipe | None:
    """Read a recipe of the catalogue; None if a newer facehog wrote it, and nothing here compares."""
    try:
        return Recipe.from_dict(values)
    except RecipeError:
        return None


def _shaping(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe.as_dict().items() if name not in _WITHOUT_A_SAY}


def _size_of(record: RunRecord) -> tuple[int, int]:
    """Return width and height of what is described, before it is downsampled."""
    recipe, stream = Recipe.from_dict(record.recipe), record.stream
    if recipe.crop:
        return recipe.crop.width, recipe.crop.height
    n_rows, n_cols = recipe.turned_shape(stream.get("width", 0), stream.get("height", 0), stream.get("rotation", 0))
    return n_cols, n_rows


def _find_obstacles(first: RunRecord, second: RunRecord) -> Iterator[str]:
    ours, theirs = (_shaping(Recipe.from_dict(record.recipe)) for record in (first, second))
    for name, value in ours.items():
        if value != theirs[name]:
            yield f"{name} differs, which shapes every number"
    if _size_of(first) != _size_of(second):
        yield "what is described is of another size: their features are not the same places"
    for record in (first, second):
        if record.store is None:
            yield f"{record.run_id} has no results: it is {record.state}"


def _find_remarks(first: RunRecord, second: RunRecord) -> Iterator[str]:
    """Say what no parameter tells: whether they show the same."""
    shown = [
        ("frame size", *(_tell_size(record) for record in (first, second))),
        ("subject", first.identity.subject, second.identity.subject),
        ("camera", first.identity.camera, second.identity.camera),
    ]
    for name, ours, theirs in shown:
        if ours and theirs and ours != theirs:
            yield f"other {name}: {ours} and {theirs}"


def _tell_size(record: RunRecord) -> str | None:
    width, height = record.stream.get("width"), record.stream.get("height")
    return f"{width} x {height}" if width and height else None


def _compare_sources(first: RunRecord, second: RunRecord) -> Iterator[Difference]:
    for name in ("path", "digest", "size_bytes"):
        yield from _differ("source", name, str(getattr(first, name)), str(getattr(second, name)))
    for name in ("width", "height", "codec", "profile", "pixel_format", "n_frames", "duration_s", "rotation"):
        yield from _differ("source", name, first.stream.get(name), second.stream.get(name))
    ours, theirs = first.identity.as_dict(), second.identity.as_dict()
    for name in ours:
        yield from _differ("source", name, ours[name], theirs[name])


def _compare_how(first: RunRecord, second: RunRecord) -> Iterator[Difference]:
    ours, theirs = (_flatten(Recipe.from_dict(record.recipe).as_dict()) for record in (first, second))
    for name in ours:
        yield from _differ("parameters", name, ours[name], theirs[name])
    for about, told in (("software", (first.software, second.software)), ("host", (first.host, second.host))):
        for name in dict.fromkeys([*told[0], *told[1]]):
            yield from _differ(about, name, told[0].get(name), told[1].get(name))


def _compare_results(first: RunRecord, second: RunRecord) -> Iterator[Difference]:
    for name in ("state", "n_frames", "n_corrupt", "n_dropped", "grey", "warnings"):
        yield from _differ("results", name, getattr(first, name), getattr(second, name))
    for name in (*MEASURED, "moved"):
        yield from _differ("results", name, median_of(first.quality, name), median_of(second.quality, name))
    yield from _differ("results", "time_source", first.timing.get("source"), second.timing.get("source"))


def _flatten(recipe: Mapping[str, Any]) -> dict[str, Any]:
    hog = {f"hog.{name}": value for name, value in recipe["hog"].items()}
    return hog | {name: value for name, value in recipe.items() if name != "hog"}


def _differ(about: str, name: str, first: Any, second: Any) -> Iterator[Difference]:
    if first != second:
        yield Difference(about=about, name=name, first=first, second=second)
