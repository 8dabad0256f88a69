"""`facehog catalogue serve`: Datasette on the catalogue, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from facehog_core.catalogue import Catalogue
from facehog_core.errors import ConfigError, ServiceError
from facehog_core.sheets import SHEETS

from ..api import find_auth_string
from ..config import Config
from ..doors import address_here, address_outside, is_loopback, join
from ..service_paths import ServicePaths
from .copies import Copy
from .door import App, Door

# Of those who read a page when it is stopped, seconds.
PATIENCE_S = 3
# A question may take so long, milliseconds: with years of recordings each takes a tenth of a second.
MOST_MS = 3000
HERE = Path(__file__).parent


def serve_catalogue(config: Config, *, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Show the catalogue to browsers until SIGINT or SIGTERM.

    Parameters
    ----------
    config : Config
    host : str
        An address of this machine, or ``0.0.0.0`` for all of them.
    port : int
        0 for a free one.
    tell : callable
        Is told what there is to say, a sentence at a time.

    Raises
    ------
    ConfigError
        If others could look without a password.
    ServiceError
        If Datasette is not installed, or the port is taken.
    CatalogueError
        If there is no catalogue.
    """
    auth_string = find_auth_string(config)
    if not is_loopback(host) and auth_string is None:
        raise ConfigError(
            "--host", f"with {host} everybody in the network could look", "Set auth_string under [prefect], too."
        )
    _need_datasette()
    import uvicorn

    with ExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        app = stack.enter_context(open_app(config))
        doored = Door(app, is_local=is_loopback(host), auth_string=auth_string)
        settings = uvicorn.Config(
            doored, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=PATIENCE_S
        )
        port = listener.getsockname()[1]
        tell(f"http://{join(address_here(host), port)} shows the catalogue. Ctrl-C stops it.")
        if not is_loopback(host):
            outside = join(address_outside(host), port)
            tell(f"Others reach it at http://{outside} with the password, which is not encrypted on its way.")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def open_app(config: Config) -> Iterator[App]:
    """Yield the pages as an ASGI application, without a door."""
    _need_datasette()
    from datasette.app import Datasette
    from datasette.plugins import pm

    from .database import NAME, Sheets
    from .pages import Pages

    with ExitStack() as stack:
        catalogue = stack.enter_context(Catalogue(config.catalogue, stores=config.store))
        path = config.catalogue_file
        if path is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="facehog-"))
            copy = stack.enter_context(Copy(catalogue, config.catalogue, Path(folder) / "catalogue.db"))
            path, tell_source = copy.path, copy.tell
        else:
            tell_source = f"{path}, as it is now".__str__
        pages = Pages(catalogue, lambda: find_prefect(config), tell_source)
        pm.register(pages, name=f"facehog {id(pages)}")
        stack.callback(pm.unregister, pages)
        pages.datasette = datasette = Datasette(
            [],
            metadata=_describe(),
            settings=_SETTINGS,
            template_dir=str(HERE / "templates"),
            static_mounts=[("facehog", str(HERE / "static"))],
        )
        datasette.remove_database("_memory")
        sheets = datasette.add_database(Sheets(datasette, path), name=NAME)
        stack.callback(sheets.close)
        yield datasette.app()


def find_prefect(config: Config) -> str | None:
    """Return where people look at Prefect; None if it is down and its port is not known."""
    if found := config.prefect.api_url or ServicePaths(state_dir=config.state_dir).read_addresses().get("api_url"):
        return found.removesuffix("/api")
    return f"http://{join(address_here(config.prefect.host), config.prefect.port)}" if config.prefect.port else None


_SETTINGS = {
    "default_page_size": 50,
    "sql_time_limit_ms": MOST_MS,
    "facet_time_limit_ms": MOST_MS // 3,
    "suggest_facets": False,
    "allow_download": False,
    # What is new is seen.
    "default_cache_ttl": 0,
}


def _describe() -> dict[str, Any]:
    """Return what Datasette calls metadata: words, orders and who may do what."""
    sheets = {
        sheet.name: {
            "title": sheet.title,
            "description": sheet.said,
            "columns": {name: column.said for name, column in sheet.columns.items()},
            "sort_desc": sheet.newest,
            "sortable_columns": list(sheet.columns),
            "facets": list(sheet.facets),
        }
        for sheet in SHEETS
    }
    # Nobody asks in SQL of his own: it could keep the machine busy, and the tables are not for reading.
    return {
        "title": "The catalogue",
        "allow_sql": False,
        "extra_css_urls": ["/facehog/style.css"],
        "databases": {"catalogue": {"tables": sheets}},
    }


def _need_datasette() -> None:
    # Of other plugins that may be installed beside it none is loaded. It looks when it is imported.
    os.environ["DATASETTE_LOAD_PLUGINS"] = ""
    try:
        import datasette  # noqa: F401
    except ModuleNotFoundError as error:
        raise ServiceError(
            "Datasette", "it is not installed", "In facehog's folder: pip install -c requirements.lock '.[serve]'"
        ) from error


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        # As servers do: a port in TIME_WAIT is free.
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            # From now on who comes waits, and is not turned away, until the pages are ready.
            listener.listen()
        except OSError as error:
            fact = f"it cannot be had ({error.strerror})"
            raise ServiceError(
                f"port {port} of {host}", fact, "Give another one by --port, or 0 for a free one."
            ) from error
        yield listener
