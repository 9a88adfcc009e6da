"""The window record: ConfigMaps of a release, owned by the endpoint's state document."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from weir.errors import PermanentError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import CONFIG_MAP, Object, name_of
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.version_manifests import owned_by
from weir.window import Window

RELEASE = "weir/release"
COMPONENT = {"app.kubernetes.io/component": "windows"}
FULL_BYTES = 600_000
"""A part that has grown so far is followed by another one; a ConfigMap holds 1 MiB."""

KEPT_RECORDS = 20


@dataclass
class _Record:
    """What is known of a release's record: its newest ConfigMap is ``part``, of ``size`` bytes."""

    ids: set[int] = field(default_factory=set)
    part: int = -1
    size: int = 0


class KubernetesWindows:
    """Implements ``Windows``. A window is one key of a ConfigMap: appending is one patch."""

    def __init__(self, api: Api, state: KubernetesState) -> None:
        self._api, self._state = api, state
        self._records: dict[tuple[str, str], _Record] = {}

    def append(self, endpoint: str, release_id: str, window: Window) -> None:
        """See Windows. The record of a release that is new pushes the oldest ones out."""
        key = (endpoint, release_id)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = self._known(endpoint, release_id)
        if record.ids and window.id <= max(record.ids):
            return
        text = window.model_dump_json()
        if record.part < 0 or record.size + len(text) > FULL_BYTES:
            self._begin_part(endpoint, release_id, record)
        name = names.of_windows(endpoint, release_id, record.part)
        self._api.patch(CONFIG_MAP, name, {"data": {_key(window.id): text}})
        record.ids.add(window.id)
        record.size += len(text)

    def read(self, endpoint: str, release_id: str) -> tuple[Window, ...]:
        """Raises PermanentError ``windows.corrupt``."""
        texts: dict[str, tuple[str, str]] = {}
        for part in self._parts(endpoint, release_id):
            for key, text in (part.get("data") or {}).items():
                texts[key] = (text, name_of(part))
        return tuple(self._parsed(key, *texts[key]) for key in sorted(texts))

    def _known(self, endpoint: str, release_id: str) -> _Record:
        found, _ = self._api.list(CONFIG_MAP, {names.ENDPOINT: endpoint, **COMPONENT})
        parts = [one for one in found if one["metadata"]["labels"].get(RELEASE) == release_id]
        if not parts:
            self._forget_oldest(found)
            return _Record()
        newest = max(parts, key=lambda one: _part_number(name_of(one)))
        return _Record(
            ids={int(key) for part in parts for key in part.get("data") or {}},
            part=_part_number(name_of(newest)),
            size=sum(len(text) for text in (newest.get("data") or {}).values()),
        )

    def _begin_part(self, endpoint: str, release_id: str, record: _Record) -> None:
        record.part, record.size = record.part + 1, 0
        labels = names.endpoint_labels(endpoint) | COMPONENT | {RELEASE: release_id}
        manifest = CONFIG_MAP.object(names.of_windows(endpoint, release_id, record.part), labels)
        manifest["data"] = {}
        owner = self._state.object(endpoint)
        try:
            self._api.create(owned_by(manifest, owner))
        except Conflict:
            return

    def _forget_oldest(self, found: list[Object]) -> None:
        """Make room for the record of one more release."""
        begun: dict[str, str] = {}
        for one in found:
            release = str(one["metadata"]["labels"].get(RELEASE, ""))
            at = str(one["metadata"].get("creationTimestamp", ""))
            begun[release] = min(at, begun.get(release, at))
        oldest = sorted(begun, key=lambda release: begun[release])
        for release in oldest[: max(0, len(oldest) + 1 - KEPT_RECORDS)]:
            for one in found:
                if one["metadata"]["labels"].get(RELEASE) == release:
                    self._api.delete(CONFIG_MAP, name_of(one))

    def _parts(self, endpoint: str, release_id: str) -> list[Object]:
        labels = {names.ENDPOINT: endpoint, **COMPONENT, RELEASE: release_id}
        found, _ = self._api.list(CONFIG_MAP, labels)
        return found

    def _parsed(self, key: str, text: str, name: str) -> Window:
        try:
            return Window.model_validate_json(text)
        except ValidationError as error:
            raise PermanentError(
                "windows.corrupt",
                f"key {key} of ConfigMap {name} is no window.",
                remedy="Remove the key; it is a record only, decisions do not depend on it.",
                where=self._api.where,
            ) from error


def _key(window_id: int) -> str:
    return f"{window_id:08d}"


def _part_number(name: str) -> int:
    last = name.rsplit(".", 1)[-1]
    return int(last) if last.isdigit() else 0
