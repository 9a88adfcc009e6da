"""Builders: a sentence makes an endpoint, a release file, a document."""

from __future__ import annotations

from typing import Self

from weir.endpoint import Endpoint, Split, Version
from weir.spec.deployment import Deployment
from weir.spec.inference import Inference


class EndpointBuilder:
    """``endpoint("fraud").control("v1").treatment("v2", 10).build()``"""

    def __init__(self, name: str) -> None:
        self._name = name
        self._versions: list[Version] = []
        self._percentiles: dict[str, float] = {}
        self._control: str | None = None
        self._port: int | None = None
        self._auth_enabled = True

    def control(self, name: str, **deployment: object) -> Self:
        self._control = name
        self._versions.append(version(name, **deployment))
        return self

    def treatment(self, name: str, percentile: float = 0, **deployment: object) -> Self:
        self._versions.append(version(name, **deployment))
        self._percentiles[name] = percentile
        return self

    def on_port(self, port: int) -> Self:
        self._port = port
        return self

    def without_authentication(self) -> Self:
        self._auth_enabled = False
        return self

    def build(self) -> Endpoint:
        split = None
        if self._control is not None:
            rest = 100 - sum(self._percentiles.values())
            split = Split.of({self._control: rest, **self._percentiles})
        return Endpoint(
            name=self._name,
            versions=tuple(self._versions),
            control=self._control,
            default=self._control,
            split=split,
            port=self._port,
            auth_enabled=self._auth_enabled,
        )


def endpoint(name: str = "fraud") -> EndpointBuilder:
    return EndpointBuilder(name)


def version(name: str, **deployment: object) -> Version:
    return Version(
        name=name,
        image=f"image-of-{name}",
        release=f"release-of-{name}",
        deployment=Deployment.model_validate({"num_replicas": 1, **deployment}),
        inference=Inference(command=("serve", "{port}")),
    )
