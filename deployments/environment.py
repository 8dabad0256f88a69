"""The environment in which facehog's processes run Prefect and Dask.

Both read their settings when they are imported, so this comes first: nothing here imports either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe

# Prefect's own names: of what a client shows, and of what a server wants to see.
AUTH_VARIABLE, SERVER_AUTH_VARIABLE = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
# In every process that a service of facehog starts: by it they are found, whoever their parent is now.
MARK = "FACEHOG_SERVICE"


def describe_environment(home: Path, api_url: str | None = None, auth_string: str | None = None) -> dict[str, str]:
    """Return the variables that Prefect and Dask are run with.

    Parameters
    ----------
    home : Path
        Folder of Prefect's database and profiles: not the user's own, which may belong to something else.
    api_url : str, optional
        The Prefect server; without it Prefect starts a temporary one, which asks for a password of its own.
    auth_string : str, optional
        What the server at that address wants to be shown.
    """
    variables = {
        "PREFECT_HOME": str(home),
        # Nothing phones home.
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # From trigger to first task in 3 s, not in 10.
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # Receipts on the disk say what is done; Prefect keeps no copies of results.
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        # Runs that ended long ago leave Prefect's database, which would grow for ever; the catalogue keeps all.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(90 * 24 * 3600),
        # A new database on a busy machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_CLI_COLORS": "false",
        "DASK_LOGGING__DISTRIBUTED": "warning",
        # Dask blames all tasks of a worker that dies, also those that only waited there. Which one it was is told by
        # `facehog_core.starts`, and so the others are not to be given up for it.
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1000",
        # Dask looks at each worker's stack 100 times a second. On a busy machine it did so without a pause, and the
        # first compilation of the kernels (deep stacks) never came to an end.
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        # A worker that stands still keeps the runs whose chunks it has. Dask looks for such as rarely as it is patient:
        # one is replaced after two to four minutes, and by default after five to ten.
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2 minutes",
        # A worker that dies is started again by its nanny. Dask looks at it once more, 15 s later by default, and where
        # it has just died a second time it is given up for ever: in the end a cluster has none left.
        "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "365 days",
        # glibc keeps what it was given back of a shard's results (10 MB each): once a large block was freed, others of
        # its size are made of memory that is kept, unless it is told from which size on they are not.
        "MALLOC_MMAP_THRESHOLD_": str(2**20),
        # Dask measures itself: 50 ticks a second in each process, its memory 5 times and its load twice. What is
        # described has no use for that, and two cores feel it.
        "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
        "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
        "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    }
    if api_url is None:
        # Nobody has any business with a temporary server but this process and its workers: neither other accounts of
        # the machine nor pages in a browser know the password.
        auth_string = os.environ.get(AUTH_VARIABLE) or f"facehog:{token_urlsafe()}"
        variables[SERVER_AUTH_VARIABLE] = auth_string
    server = {"PREFECT_API_URL": api_url, AUTH_VARIABLE: auth_string}
    return variables | {name: value for name, value in server.items() if value}


def apply_environment(variables: Mapping[str, str]) -> None:
    """Set the variables for this process, but for those that the user has set."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
