"""What is shown beside Datasette's tables: where to begin, a page and pictures of each run, and links between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from datasette import Response, hookimpl
from markupsafe import Markup

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, FacehogError
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate
from facehog_core.sheets import SHEETS

from ..display import run_pairs, tell_time
from .database import NAME
from .pictures import choose_frames, draw_picture

# Height of a picture in a table, in pixels.
SMALL_PX = 64
# Where Prefect's UI is, is looked up again after so many seconds: the service may have been started meanwhile.
_FRESH_S = 5.0
_NOT_FOUND = 404
_MOMENTS = {(sheet.name, name) for sheet in SHEETS for name, column in sheet.columns.items() if column.is_moment}


# Datasette keeps plugins in a set.
@dataclass(slots=True, eq=False)
class Pages:
    """Datasette's plugin.

    Parameters
    ----------
    catalogue : Catalogue
    find_prefect : callable
        Returns where people look at Prefect, None if that is not known.
    tell_source : callable
        Says where what is shown comes from.
    """

    catalogue: Catalogue
    find_prefect: Callable[[], str | None]
    tell_source: Callable[[], str]
    # The one whose pages they are: Datasette asks each plugin for each that there is.
    datasette: Any = field(default=None, init=False)
    # As Datasette lists it.
    __name__ = "facehog"
    _prefect: tuple[float, str | None] = field(default=(float("-inf"), None), init=False)

    @hookimpl
    def register_routes(self, datasette: Any) -> list[tuple[str, Callable[..., Awaitable[Response]]]]:
        """Return the pages of runs."""
        if datasette is not self.datasette:
            return []
        return [(r"^/run/(?P<run>[^/]+)$", self.show_run), (r"^/run/(?P<run>[^/]+)/picture\.png$", self.show_picture)]

    @hookimpl
    def extra_template_vars(self, datasette: Any, view_name: str) -> Callable[[], Awaitable[dict[str, Any]]] | None:
        """Tell each page where what it shows comes from, and the first one what there is."""
        if datasette is not self.datasette:
            return None

        async def tell() -> dict[str, Any]:
            told: dict[str, Any] = {"source": self.tell_source(), "prefect": self._prefect_url()}
            if view_name in ("index", "database"):
                rows = await datasette.get_database(NAME).execute("SELECT state, count(*) FROM recordings GROUP BY 1")
                counts = dict(map(tuple, rows))
                told |= {"sheets": SHEETS, "counts": {fate.value: counts.get(fate, 0) for fate in Fate}}
            return told

        return tell

    @hookimpl
    def render_cell(
        self, row: Mapping[str, Any], value: Any, column: str, table: str | None, datasette: Any
    ) -> str | None:
        """Return what a value of a sheet is shown as; None if as it is."""
        if value in (None, "") or datasette is not self.datasette:
            return None
        match column:
            case "picture":
                page = str(value).rpartition("/")[0]
                return _link(
                    page,
                    Markup('<img src="{}?height={}" height="{}" loading="lazy" alt="picture">').format(
                        value, SMALL_PX, SMALL_PX
                    ),
                )
            case "run":
                return _link(f"/run/{value}", value)
            case "flow_run":
                return _link(url, "in Prefect") if (url := self._flow_run_url(value)) else None
            case "state":
                return Markup('<span class="state {0}">{0}</span>').format(value)
            case "size" | "store_size":
                return tell_size(value)
            case "duration" | "took":
                return tell_duration(value)
            case _ if (table, column) in _MOMENTS:
                # By the clock of this machine, as commands tell it.
                return tell_time(datetime.fromisoformat(value).replace(tzinfo=UTC))
            case "recordings" if table == "sessions":
                return _link(f"/{NAME}/recordings?{_only(row, 'subject', 'date')}", value)
        return None

    async def show_run(self, request: Any, datasette: Any) -> Response:
        """Show all that is known of a run."""
        try:
            told = await asyncio.to_thread(self._tell_run, request.url_vars["run"], request.args.get("frame"))
        except FacehogError as error:
            return await self._show_missing(request, datasette, error)
        return Response.html(await datasette.render_template("run.html", told, request=request))

    async def show_picture(self, request: Any) -> Response:
        """Draw the picture of a frame of a run."""
        try:
            frame, height = (_whole_number(request.args.get(name)) for name in ("frame", "height"))
            drawn = await asyncio.to_thread(self._draw, request.url_vars["run"], frame, height)
        except FacehogError as error:
            return Response.text(str(error), status=_NOT_FOUND)
        return Response(drawn, content_type="image/png", headers={"Cache-Control": "private, max-age=60"})

    async def _show_missing(self, request: Any, datasette: Any, error: FacehogError) -> Response:
        told = {"title": "There is no such run", "error": str(error), "status": _NOT_FOUND}
        html = await datasette.render_template("error.html", told, request=request)
        return Response.html(html, status=_NOT_FOUND)

    def _tell_run(self, name: str, frame: str | None) -> dict[str, Any]:
        record, history, found = self.catalogue.run_with_history(name)
        told: dict[str, Any] = {
            "record": record,
            "facts": [(name, str(value)) for name, value in run_pairs(record, len(found))],
            "history": [(tell_time(step.at), step.state, step.reason) for step in history],
            "flow_run": self._flow_run_url(record.flow_run_id),
        }
        if record.store is None:
            return told | {"no_picture": f"the run is {record.state} and has no store"}
        checks = [(tell_time(check.at), check.is_sound, check.problems) for check in found]
        told["checks"] = checks[::-1]
        try:
            frames = choose_frames(record.store)
            shown = frames.middle if frame is None else _whole_number(frame)
        except FacehogError as error:
            return told | {"no_picture": str(error)}
        return told | {"frame": shown, "frames": frames.numbers}

    def _draw(self, name: str, frame: int | None, height: int | None) -> bytes:
        record: RunRecord = self.catalogue.run(name)
        if record.store is None:
            raise CatalogueError(name, f"the run is {record.state} and has no store", "See `facehog why`.")
        return draw_picture(record.store, frame, height)

    def _flow_run_url(self, flow_run_id: str | None) -> str | None:
        prefect = self._prefect_url()
        return f"{prefect}/runs/flow-run/{flow_run_id}" if prefect and flow_run_id else None

    def _prefect_url(self) -> str | None:
        looked_s, found = self._prefect
        if time.monotonic() - looked_s > _FRESH_S:
            found = self.find_prefect()
            self._prefect = time.monotonic(), found
        return found


def _link(address: str, shown: Any) -> str:
    return Markup('<a href="{}">{}</a>').format(address, shown)


def _only(row: Mapping[str, Any], *names: str) -> str:
    """Return the part of an address that asks for the rows that have the same values."""
    return urlencode(
        {f"{name}__exact": row[name] for name in names if row[name] is not None}
        | {f"{name}__isnull": 1 for name in names if row[name] is None}
    )


def _whole_number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise CatalogueError(text or "", "this is no whole number", "Ask for a frame by its number.") from error


def tell_size(n_bytes: float) -> str:
    """Return a size for people."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if n_bytes < 1000 ** (power + 1)), len(units) - 1)
    return f"{n_bytes / 1000**power:.3g} {units[power]}"


def tell_duration(seconds: float) -> str:
    """Return a duration for people."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02.0f} s" if minutes else f"{rest:.3g} s"
