"""Read the configuration, once, when a command starts: one commented TOML file, and the environment, which wins."""

from __future__ import annotations

import json
import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from facehog_core.errors import ConfigError

from .config import ENV_PREFIX, Config
from .tables import (
    DaskConfig,
    HealthConfig,
    HogConfig,
    InboxConfig,
    NotifyConfig,
    PrefectConfig,
    SensorConfig,
    TimestampsConfig,
)

FILE_NAME = "facehog.toml"
# Variables of ours that are no configuration.
RESERVED = frozenset({"FACEHOG_CONFIG", "FACEHOG_SERVICE"})
TEST_PREFIX = "FACEHOG_TEST_"
_ENVIRONMENT = Path("the environment")
_EXAMPLE = '[{"path": "/data/inbox"}]'
_HOME = "home"


def find_config(given: Path | None) -> Path | None:
    """Return the configuration file that a command reads.

    Parameters
    ----------
    given : Path or None
        What ``--config`` names. Otherwise ``facehog.toml`` in the working folder, if it is there.

    Raises
    ------
    ConfigError
        If the file that was named is not there.
    """
    if given is None:
        default = Path.cwd() / FILE_NAME
        return default if default.is_file() else None
    if not given.is_file():
        raise ConfigError(given, "there is no such configuration file", "`facehog init` writes one.")
    return given.absolute()


def load_config(path: Path | None) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path : Path or None
        The file; the defaults in the working folder where there is none.

    Raises
    ------
    ConfigError
        If a key is unknown or a value wrong: key, value and choices are named.
    """
    values = _read_toml(path) if path else {}
    _check_environment()
    try:
        return Config(**values, home=path.absolute().parent if path else Path.cwd())
    except ValidationError as error:
        raise _translate(path or _ENVIRONMENT, values, error) from error
    except SettingsError as error:
        name = _find_broken_json()
        remedy = f"It must be JSON, such as '[32, 32]' or '{_EXAMPLE}'."
        shown = _mask(os.environ[name], _keys_of(name))
        raise ConfigError(_ENVIRONMENT, f"{name} = {shown} is wrong", remedy) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(path, f"it cannot be read: {error.strerror}", "Check the path and its rights.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, f"this is not TOML: {error}", "Mend the line that is named.") from error
    if _HOME in values:
        raise _unknown_key(path, (_HOME,))
    return values


def _check_environment() -> None:
    """Find variables that are meant for facehog and that it does not know: pydantic passes over them."""
    for name in os.environ:
        # pydantic takes lower case for the same.
        if not name.upper().startswith(ENV_PREFIX) or name in RESERVED or name.startswith(TEST_PREFIX):
            continue
        table, *rest = keys = _keys_of(name)
        if table == "inbox" and rest:
            raise ConfigError(_ENVIRONMENT, f"unknown key {name}", f"Write FACEHOG_INBOX='{_EXAMPLE}'.")
        if keys[-1] not in _names_at(keys[:-1]):
            raise _unknown_key(_ENVIRONMENT, keys, shown=name)


def _names_at(parents: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a table of the configuration knows."""
    match [key for key in parents if isinstance(key, str)]:
        case []:
            return [name for name in Config.model_fields if name != _HOME]
        case [name] if name in _TABLES:
            return list(_TABLES[name].model_fields)
        case ["inbox", "timestamps"]:
            return list(TimestampsConfig.model_fields)
        case _:
            return []


def _unknown_key(where: Path, keys: tuple[int | str, ...], shown: str | None = None) -> ConfigError:
    choices = _names_at(keys[:-1])
    near = get_close_matches(str(keys[-1]), choices, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return ConfigError(
        where,
        f"unknown key {shown or _dotted(keys)}",
        f"{hint}Choose from {', '.join(choices) or 'nothing'}.",
    )


def _translate(where: Path, values: dict[str, Any], error: ValidationError) -> ConfigError:
    """Say one thing that is wrong: key, value and choices."""
    mistakes = error.errors()
    # A key that is missing may be the one that is misspelt.
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    keys = first["loc"]
    if not keys:
        said = first["msg"].removeprefix("Value error, ")
        return ConfigError(where, said, "See the comments that `facehog init` writes.")
    variable = _find_variable(keys)
    if first["type"] == "extra_forbidden":
        return _unknown_key(_ENVIRONMENT if variable else where, keys)
    keys, field = _find_field(keys)
    remedy = f"It must be {field.description}."
    if variable:
        if variable.upper() != _name_variable(*keys):
            remedy = remedy.replace("It", _dotted(keys), 1)
        shown = _mask(os.environ[variable], _keys_of(variable))
        return ConfigError(_ENVIRONMENT, f"{variable} = {shown} is wrong", remedy)
    if first["type"] == "missing" and len(keys) == len(first["loc"]):
        return ConfigError(where, f"{_dotted(keys)} is missing", remedy)
    for key in keys:
        values = values[key]  # type: ignore[index]
    return ConfigError(where, f"{_dotted(keys)} = {_mask(values, keys)} is wrong", remedy)


def _mask(value: Any, keys: tuple[int | str, ...]) -> str:
    """Return a value as an error may show it: no secret, and nothing that may hold one."""
    may_hold_one = bool(_SECRET & set(keys)) or keys == ("prefect",)
    return "***" if may_hold_one else _PASSWORD.sub(r"\1***@", repr(value))


def _keys_of(variable: str) -> tuple[str, ...]:
    """Return the keys that a variable of the environment sets."""
    return tuple(variable[len(ENV_PREFIX) :].lower().split("__"))


def _find_variable(keys: tuple[int | str, ...]) -> str | None:
    """Return the variable of the environment that sets a value."""
    named = {name.upper(): name for name in os.environ}
    names = [_name_variable(*keys[:n]) for n in range(len(keys), 0, -1)]
    return next((named[name] for name in names if name in named), None)


def _name_variable(*keys: int | str) -> str:
    return ENV_PREFIX + "__".join(map(str, keys)).upper()


def _find_field(keys: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], FieldInfo]:
    """Return the keys that lead to a field, without those of what is within its value, and the field."""
    first = str(keys[0])
    for n, key in enumerate(keys[1:], start=2):
        if first in _TABLES and key in _TABLES[first].model_fields:
            return keys[:n], _TABLES[first].model_fields[str(key)]
    return keys[:1], Config.model_fields[first]


def _find_broken_json() -> str:
    """Return the variable whose JSON cannot be read: that of a table, or one that begins like a list or table."""
    tables = [_name_variable(name) for name in _TABLES]
    return next(
        name
        for name, text in os.environ.items()
        if name.upper().startswith(ENV_PREFIX)
        and (name.upper() in tables or text.lstrip().startswith(("[", "{")))
        and not _is_json(text)
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _dotted(keys: tuple[int | str, ...]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


# Tables and keys of which errors, and so logs, show no values.
_SECRET = {"notify", "auth_string"}
# That of an address.
_PASSWORD = re.compile(r"(://[^:/@]*:)[^/]*@")
_TABLES: dict[str, type[BaseModel]] = {
    "inbox": InboxConfig,
    "hog": HogConfig,
    "dask": DaskConfig,
    "prefect": PrefectConfig,
    "sensor": SensorConfig,
    "health": HealthConfig,
    "notify": NotifyConfig,
}
