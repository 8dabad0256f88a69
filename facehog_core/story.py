"""The steps of a file's story, and of a run's, as the catalogue keeps them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased, joinedload

from .path_text import as_text, from_text
from .schema import Event, Fate, File, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEvent:
    """A step in a file's story: since when it was in which state, and why."""

    at: datetime
    state: Fate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEvent(StoryEvent):
    """A step in the story of any file, with its place among the steps of all."""

    number: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStory:
    """All that is told of a file.

    Parameters
    ----------
    seen_at : datetime or None
        When it was first seen. A catalogue that was made from the stores does not know it, nor the steps before.
    steps : list of StoryEvent
        Oldest first.
    warnings : list of str
        Of the run that it came to.
    """

    seen_at: datetime | None
    steps: list[StoryEvent]
    warnings: list[str]


def tell_story(session: Session, path: Path) -> list[StoryEvent]:
    """Return the story of one path, oldest first; empty if it was never seen."""
    steps = session.scalars(select(Event).join(Event.file).where(File.path == as_text(path)).order_by(Event.id))
    return [_read(step) for step in steps]


def tell_run(session: Session, run_id: str) -> list[StoryEvent]:
    """Return what became of one run, oldest first; empty if nothing was noted."""
    steps = session.scalars(select(Event).join(Event.run).where(Run.run_id == run_id).order_by(Event.id))
    return [_read(step) for step in steps]


def tell_events(session: Session, number: int, states: Collection[Fate]) -> list[FileEvent]:
    """Return the steps of all files into some states that came after a step, oldest first."""
    query = select(Event).options(joinedload(Event.file)).order_by(Event.id)
    # What leaves a file in its state is a remark, and no step.
    earlier = aliased(Event)
    before = select(earlier.state).where(earlier.file_id == Event.file_id, earlier.id < Event.id)
    query = query.where(before.order_by(earlier.id.desc()).limit(1).scalar_subquery().is_distinct_from(Event.state))
    return [
        FileEvent(
            number=step.id,
            path=Path(from_text(step.file.path)),
            at=step.at,
            state=Fate(step.state),
            reason=step.reason,
        )
        for step in session.scalars(query.where(Event.id > number, Event.state.in_(states)))
    ]


def _read(step: Event) -> StoryEvent:
    return StoryEvent(at=step.at, state=Fate(step.state), reason=step.reason)
