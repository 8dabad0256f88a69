"""The deployments, and the process that runs what is asked of them."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.runner import Runner

from facehog_core.catalogue import Catalogue
from flows.launcher import PrefectLauncher
from flows.process_recording import process_recording
from flows.reconcile_inboxes import describe_inbox, reconcile_inboxes

from .config import Config, load_config

# At night, when a rig is idle; in the server's time zone (UTC).
NIGHTLY = "17 3 * * *"


def make_launcher(config: Config, scheduler: str | None) -> PrefectLauncher:
    """Return the launcher of a configuration, with a cluster's address or scheduler file."""
    with Catalogue(config.catalogue, create=True) as records:
        location = records.location
    return PrefectLauncher(
        store=config.store,
        catalogue=config.catalogue,
        location=location,
        cluster=config.cluster(scheduler),
    )


def make_deployments(config: Config, scheduler: str | None) -> list[RunnerDeployment]:
    """Return the deployments; their parameters are set such that the UI asks for nothing but a path."""
    parameters = make_launcher(config, scheduler).parameters()
    inboxes = config.inboxes()
    return [
        process_recording.to_deployment(
            "inbox",
            description="A recording that landed in an inbox.",
            parameters={**parameters, "recipe": inboxes[0].recipe.as_dict()},
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        reconcile_inboxes.to_deployment(
            "nightly",
            description="Finds what the sensor missed.",
            cron=NIGHTLY,
            parameters={**parameters, "inboxes": [describe_inbox(inbox) for inbox in inboxes]},
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    ]


async def run_deployments(config: Config, scheduler: str | None, ready_file: Path) -> None:
    """Register the deployments and run what is asked of them, until SIGTERM."""
    # A service that is stopped comes back: its schedules are not to be paused for that.
    runner = Runner(name="facehog", limit=config.prefect.max_runs, pause_on_shutdown=False)
    for deployment in await asyncio.to_thread(make_deployments, config, scheduler):
        await runner.aadd_deployment(deployment)
    ready_file.touch()
    await runner.start()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(run_deployments(load_config(given.config), given.scheduler, given.ready_file))


if __name__ == "__main__":
    main()
