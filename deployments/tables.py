"""The tables of the configuration: what each key may be, and the words for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from facehog_core.choices import CHOICES, choose, read_rate
from facehog_core.crop import Crop
from facehog_core.inbox import FLAG_MUST_BE, check_flag
from facehog_core.names import DEFAULT_PATTERN, NamePattern
from facehog_core.params import BLOCK_NORMS, MAX_ORIENTATIONS, HogParams
from facehog_core.recipe import Recipe
from facehog_core.rounding import ALL_BITS
from facehog_core.timestamps import UNITS, TimestampsSource
from flows.cluster import LOOPBACK

PATTERNS = ("*.mp4", "*.mov", "*.mkv", "*.avi", "*.ts", "*.m2ts", "*.flv", "*.h264")

# What stands in each field's description completes the sentence "<key> must be ...".


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted: Python takes them for 1 and 0."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are no numbers")
        return value


def _check_crop(values: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    Crop.from_sequence(values)
    return values


def _check_rate(value: Any) -> str:
    Recipe(frame_rate=read_rate(value))
    return str(value)


def _check_name_pattern(text: str) -> str:
    return NamePattern(text=text).text


FrameRate = Annotated[str, BeforeValidator(_check_rate)]
CropList = Annotated[tuple[int, int, int, int], AfterValidator(_check_crop)]


class TimestampsConfig(_Table):
    """Where each frame's own time is written beside a recording."""

    file: str = Field(description="a path from the recording's folder, such as '{stem}_timestamps.csv'")
    column: str | int | None = Field(None, description="a column's name, or its number from 1 on")
    unit: str = Field("s", description=f"one of {', '.join(map(repr, UNITS))}")

    @model_validator(mode="after")
    def _check(self) -> TimestampsConfig:
        TimestampsSource(**self.model_dump())
        return self


class RecordingConfig(_Table):
    """What is chosen for recordings. The core reads the values, since a recording's own file may set them too."""

    crop: CropList | None = Field(None, description=CHOICES["crop"])
    grey: Any = Field("rgb", description=CHOICES["grey"])
    downsample: Any = Field(1, description=CHOICES["downsample"])
    masks: Any = Field([], description=CHOICES["masks"])
    apply_rotation: StrictBool = Field(False, description=CHOICES["apply_rotation"])
    frames: Any = Field(None, description=CHOICES["frames"])
    seconds: Any = Field(None, description=CHOICES["seconds"])
    every: Any = Field(1, description=CHOICES["every"])
    max_corrupt: Any = Field(0.05, description=CHOICES["max_corrupt"])
    keep_bits: Any = Field(ALL_BITS, description=CHOICES["keep_bits"])
    stream: Any = Field(None, description=CHOICES["stream"])
    frame_rate: FrameRate | None = Field(None, description=CHOICES["frame_rate"])
    timestamps: TimestampsConfig | None = Field(None, description=CHOICES["timestamps"])

    # The others are checked by their types.
    @field_validator(*(name for name in CHOICES if name not in ("frame_rate", "timestamps")))
    @classmethod
    def _check_choice(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            choose(Recipe(), {str(info.field_name): value})
        if info.field_name == "seconds" and value is not None and info.data.get("frames") is not None:
            raise ValueError("beside frames")
        return value

    def choices(self) -> dict[str, Any]:
        """Return what is chosen, by the keys of `CHOICES`."""
        return {name: value for name, value in self.model_dump(include=set(CHOICES)).items() if value is not None}


class InboxConfig(RecordingConfig):
    """A folder in which recordings land."""

    path: Path = Field(description="a folder")
    patterns: tuple[str, ...] = Field(PATTERNS, min_length=1, description='a list of names such as ["*.mp4", "*.mkv"]')
    depth: int | None = Field(None, ge=0, description="a whole number from 0 (no sub-folders) on")
    settle_s: float = Field(10, ge=0, allow_inf_nan=False, description="a number of seconds from 0 on")
    ready: Annotated[str, AfterValidator(check_flag)] | None = Field(None, description=FLAG_MUST_BE)
    priority: int = Field(0, description="a whole number, such as 1 or -1")
    reference: Path | None = Field(None, description="a picture of the size of the crop or of the whole frame")
    name_pattern: Annotated[str, AfterValidator(_check_name_pattern)] = Field(
        DEFAULT_PATTERN,
        description="a regular expression with named groups subject, date (or year, month and day), plane and camera",
    )
    crops: dict[str, CropList] = Field(
        {}, description='a table, written [inbox.crops], of names and crops such as "*m12*" = [53, 22, 916, 475]'
    )


class HogConfig(_Table):
    """Parameters of the descriptors."""

    orientations: int = Field(8, description=f"a whole number from 1 to {MAX_ORIENTATIONS}")
    pixels_per_cell: tuple[int, int] = Field((32, 32), description="[rows, columns], whole numbers from 1 on")
    cells_per_block: tuple[int, int] = Field((1, 1), description="[rows, columns], whole numbers from 1 on")
    block_norm: str = Field("L2-Hys", description=f"one of {', '.join(map(repr, BLOCK_NORMS))}")
    transform_sqrt: bool = Field(True, description="true or false")

    @field_validator("*")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        HogParams(**{str(info.field_name): value})
        return value


class DaskConfig(_Table):
    """Where chunks are computed."""

    n_workers: Literal["auto"] | PositiveInt = Field("auto", description="'auto', or a whole number from 1 on")
    host: str = Field(LOOPBACK, description="an address of this machine, by which other machines reach it")
    scheduler: str | None = Field(None, description="an address such as 'tcp://host:8786', or a scheduler file")


class PrefectConfig(_Table):
    """The Prefect server that `facehog up` starts."""

    port: int = Field(4200, ge=0, le=65535, description="a whole number from 0 (a free port) to 65535")
    host: str = Field(LOOPBACK, description="an address of this machine, or '0.0.0.0' for all of them")
    auth_string: SecretStr | None = Field(None, description="'user:password', without a colon in the user's name")
    api_url: str | None = Field(None, description="an address such as 'http://127.0.0.1:4200/api'")
    runner: bool = Field(True, description="true or false")
    max_runs: PositiveInt = Field(4, description="a whole number from 1 on")

    @field_validator("auth_string")
    @classmethod
    def _check_auth(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not all(value.get_secret_value().partition(":")):
            raise ValueError("no user and password")
        return value


class SensorConfig(_Table):
    """How inboxes are watched."""

    interval_s: float = Field(10, gt=0, allow_inf_nan=False, description="a number of seconds above 0")


class HealthConfig(_Table):
    """Where `facehog up` answers how it is: on this machine alone."""

    port: int = Field(0, ge=0, le=65535, description="a whole number from 0 (a free port) to 65535")


class NotifyConfig(_Table):
    """Who is told when a recording is quarantined or has failed for good. Nobody else is to read these."""

    slack: SecretStr | None = Field(None, description="the address of an incoming webhook of Slack's")
    webhook: SecretStr | None = Field(None, description="an address that takes JSON")
    mail: SecretStr | None = Field(
        None,
        description="such as 'mailtos://user:password@smtp.example.org?from=facehog@example.org&to=me@example.org'",
    )

    @field_validator("slack", "webhook")
    @classmethod
    def _check_web(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("no address of the web")
        return value

    @field_validator("mail")
    @classmethod
    def _check_mail(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("mailto://", "mailtos://")):
            raise ValueError("no address of a mail server")
        return value

    def channels(self) -> dict[str, str]:
        """Return the addresses that are set, by the names of their keys."""
        set_here = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value.get_secret_value() for name, value in set_here if value}
