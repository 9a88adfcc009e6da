"""Endpoint, Version and Split: frozen values that cannot break their own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from weir.errors import PermanentError, UserError
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference

MAXIMUM_VERSIONS = 6
HUNDREDTHS = 10_000
"""A whole split in hundredths of a percent: the resolution of a percentile is 0.01 %."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Split(BaseModel):
    """Which share of live traffic each version takes, in hundredths of a percent, summing to 100 %.

    Serialises as percentages: ``{"v1": 95.0, "v2": 5.0}``. Versions at 0 are left out.
    """

    model_config = ConfigDict(frozen=True)

    hundredths: Mapping[str, int]

    @model_validator(mode="before")
    @classmethod
    def _from_percentiles(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "hundredths" not in value:
            return {"hundredths": {k: _hundredths(k, v) for k, v in value.items()}}
        return value

    @model_validator(mode="after")
    def _sums_to_one_hundred(self) -> Self:
        if any(share < 0 for share in self.hundredths.values()):
            raise ValueError("a percentile is negative; allowed are 0 to 100")
        total = sum(self.hundredths.values())
        if total != HUNDREDTHS:
            raise ValueError(f"percentiles sum to {total / 100:g}, they have to sum to 100")
        return self

    @model_serializer
    def _as_percentiles(self) -> dict[str, float]:
        return {name: share / 100 for name, share in self.hundredths.items() if share}

    @classmethod
    def of(cls, percentiles: Mapping[str, float]) -> Split:
        """A split from percentages. Raises ValueError unless they sum to 100."""
        return cls.model_validate(dict(percentiles))

    @classmethod
    def everything_to(cls, version: str) -> Split:
        return cls(hundredths={version: HUNDREDTHS})

    def percentile(self, version: str) -> float:
        """The share of ``version`` in percent; 0 when it takes none."""
        return self.hundredths.get(version, 0) / 100

    def __eq__(self, other: object) -> bool:
        """Splits are equal when every version takes the same share; at 0 or absent is the same."""
        if not isinstance(other, Split):
            return NotImplemented
        return self._as_percentiles() == other._as_percentiles()

    def __hash__(self) -> int:
        return hash(frozenset(self._as_percentiles().items()))

    def versions(self) -> tuple[str, ...]:
        """Names that take traffic."""
        return tuple(name for name, share in self.hundredths.items() if share)

    def __str__(self) -> str:
        shares = ((name, share) for name, share in self.hundredths.items() if share)
        return ", ".join(f"{name} {share / 100:g} %" for name, share in shares)


def _hundredths(version: str, percentile: float) -> int:
    exact = float(percentile) * 100
    if abs(exact - round(exact)) > 1e-6:
        raise ValueError(f"{version} takes {percentile} %; the finest step is 0.01 %")
    return round(exact)


class Version(BaseModel):
    """One deployed model version: what it runs, and how.

    ``image`` is the content digest of what it runs, on a cluster the image's name. ``release`` is
    the digest of the release file's content that brought it, so that the same name with other
    content is seen as another version.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    image: str
    release: str
    model: str = ""
    deployment: Deployment = Field(default_factory=Deployment)
    inference: Inference


def short_image(image: str) -> str:
    """An image for people: the beginning of a digest, or a name with its digest cut."""
    name, at, digest = image.partition("@")
    if at:
        return f"{name}@{digest[:19]}"
    return image if "/" in image or ":" in image else image[:12]


class Endpoint(BaseModel):
    """One scoring URL, and the versions behind it.

    Invariants: at most 6 versions with distinct names; the control and the default are among
    them as soon as there is one; the split names known versions and sums to 100 %.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    versions: tuple[Version, ...] = ()
    control: str | None = None
    default: str | None = None
    split: Split | None = None
    port: int | None = None
    auth_enabled: bool = True

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [version.name for version in self.versions]
        if len(set(names)) != len(names):
            raise ValueError("two versions have the same name")
        if len(names) > MAXIMUM_VERSIONS:
            raise ValueError(f"{len(names)} versions; an endpoint holds at most {MAXIMUM_VERSIONS}")
        for role, name in (("control", self.control), ("default", self.default)):
            if name is not None and name not in names:
                raise ValueError(f"the {role} {name} is not a version of the endpoint")
        unknown = set(self.split.versions() if self.split else ()) - set(names)
        if unknown:
            raise ValueError(f"the split names unknown versions: {', '.join(sorted(unknown))}")
        return self

    def version(self, name: str) -> Version | None:
        return next((version for version in self.versions if version.name == name), None)

    def treatments(self) -> tuple[str, ...]:
        return tuple(version.name for version in self.versions if version.name != self.control)

    def with_version(self, version: Version) -> Endpoint:
        """The endpoint with ``version`` added or replaced, at no traffic unless it had some.

        Raises UserError ``endpoint.full`` for a seventh version.
        """
        others = tuple(v for v in self.versions if v.name != version.name)
        if len(others) >= MAXIMUM_VERSIONS:
            raise full(self.name, [v.name for v in others], version.name)
        return self._changed(versions=(*others, version))

    def without_version(self, name: str) -> Endpoint:
        """The endpoint without ``name``. Raises PermanentError while it takes traffic."""
        if self.split and self.split.percentile(name) > 0:
            raise PermanentError(
                "endpoint.version_takes_traffic",
                f"version {name} takes {self.split.percentile(name):g} % of the traffic.",
                remedy="Shift its traffic away first.",
                where=f"endpoint {self.name}",
            )
        return self._changed(
            versions=tuple(v for v in self.versions if v.name != name),
            control=None if self.control == name else self.control,
            default=None if self.default == name else self.default,
        )

    def with_split(self, split: Split) -> Endpoint:
        return self._changed(split=split)

    def with_control(self, name: str) -> Endpoint:
        """``name`` becomes the control and the default."""
        return self._changed(control=name, default=name)

    def with_port(self, port: int) -> Endpoint:
        return self._changed(port=port)

    def _changed(self, **changes: Any) -> Endpoint:
        return Endpoint.model_validate({**dict(self), **changes})


def full(endpoint: str, versions: Sequence[str], another: str) -> UserError:
    """The error for a version too many."""
    return UserError(
        "endpoint.full",
        f"endpoint {endpoint} already has {len(versions)} versions ({', '.join(versions)}),"
        f" {another} would be one too many.",
        remedy=f"Remove one first: weir delete {endpoint} --version VERSION.",
        where=f"endpoint {endpoint}",
    )


def assign(default: str, percentiles: Mapping[str, float], known: Iterable[str]) -> Split:
    """A split in which ``default`` takes every percentile not assigned to another version.

    Raises ValueError when a version is unknown or the percentiles exceed 100.
    """
    unknown = set(percentiles) - set(known)
    if unknown:
        raise ValueError(f"unknown versions: {', '.join(sorted(unknown))}")
    others = {name: share for name, share in percentiles.items() if name != default}
    rest = 100 - sum(others.values())
    if rest < 0:
        raise ValueError(f"percentiles sum to {100 - rest:g}, at most 100 is allowed")
    return Split.of({default: round(rest, 2), **others})
