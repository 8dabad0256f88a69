"""A configuration's deployments as a prefect.yaml, for those who run a Prefect server and a worker of their own."""

from __future__ import annotations

from typing import Any

import yaml
from prefect.deployments.runner import RunnerDeployment

from .config import Config
from .runner import make_deployments
from .service_paths import ServicePaths

HEAD = """\
# Written by `facehog prefect` from facehog.toml: change that, and write this anew.
#
#   prefect work-pool create --type process facehog
#   prefect --no-prompt deploy --all          # in this folder; may be repeated
#   prefect worker start --pool facehog       # on this machine, in the environment in which facehog is installed
#
"""


def describe_deployments(config: Config, owner: str | None = None) -> str:
    """Return a prefect.yaml with all that facehog.toml sets.

    Parameters
    ----------
    config : Config
        Without a Dask cluster of one's own, runs use that of `facehog up`.
    owner : str, optional
        Whose they are, on a server of others: `flows.names.name_owner`.
    """
    scheduler = str(ServicePaths(state_dir=config.state_dir).scheduler)
    # A worker runs flows where facehog.toml is: neither git nor a download is needed.
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(config.home)}}]
    deployments = [_describe(deployment) for deployment in make_deployments(config, scheduler, owner)]
    content = {"name": "facehog", "pull": pull, "deployments": deployments}
    return HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _describe(deployment: RunnerDeployment) -> dict[str, Any]:
    schedules = [
        {"cron": found.schedule.cron, "timezone": "UTC"}  # type: ignore[union-attr]
        for found in deployment.schedules or []
    ]
    return {
        "name": deployment.name,
        "description": deployment.description,
        "entrypoint": deployment.entrypoint,
        **({"schedules": schedules} if schedules else {}),
        "parameters": deployment.parameters,
        "work_pool": {"name": "facehog"},
    }
