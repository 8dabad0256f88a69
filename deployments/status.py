"""How the service is, asked from outside of it."""

from __future__ import annotations

import httpx

from .config import Config
from .health import STARTING, Health, measure_health
from .processes import find_marked
from .service_paths import ServicePaths

# How long the service may take to answer, seconds: it looks at the catalogue and at the disk.
ANSWER_S = 20.0


def find_health(config: Config) -> Health:
    """Ask the service of this folder how it is; where none answers, look at the catalogue and the disk.

    Parameters
    ----------
    config : Config
    """
    paths = ServicePaths(state_dir=config.state_dir)
    if not paths.is_up:
        return measure_health(config, [], is_up=False, problems=[_tell_down(paths)])
    if (url := paths.read_addresses().get("health_url")) is None:
        return measure_health(config, [], is_up=False, problems=[STARTING])
    try:
        return Health.from_dict(httpx.get(url, timeout=ANSWER_S).json())
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:  # The latter: of another version.
        problem = f"facehog is up, but does not answer at {url}: {type(error).__name__}: {error}"
        return measure_health(config, [], is_up=True, problems=[problem])


def _tell_down(paths: ServicePaths) -> str:
    if left := find_marked(paths.mark):
        return (
            f"facehog was killed, and {len(left)} of its processes go on without it; "
            "`facehog up` starts it anew, `facehog stop` ends them"
        )
    return "facehog is not up; `facehog up` starts it"
