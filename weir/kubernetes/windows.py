"""The window record: ConfigMaps of a release, owned by the endpoint's state document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from weir.errors import PermanentError, WeirError
from weir.kubernetes import names
from weir.kubernetes.answers import Conflict
from weir.kubernetes.api import Api
from weir.kubernetes.kinds import CONFIG_MAP, Object, name_of
from weir.kubernetes.state import KubernetesState
from weir.kubernetes.version_manifests import owned_by
from weir.window import Window

RELEASE = "weir/release"
COMPONENT = {"app.kubernetes.io/component": "windows"}
FULL_BYTES = 48_000
"""A part that has grown so far is followed by another one: etcd keeps a whole copy of it for every
window that is appended, until it compacts."""

MOST_PARTS = 64
"""Of one release: 3 MB, some 2,000 windows of two versions. The oldest part goes first."""

KEPT_RECORDS = 20
_ATTEMPTS = 2


@dataclass
class _Record:
    """What is known of a release's record: its ConfigMaps, the newest one of ``size`` bytes."""

    parts: list[int] = field(default_factory=list)
    newest_window: int = -1
    size: int = 0


class KubernetesWindows:
    """Implements ``Windows``. A window is one key of a ConfigMap: appending is one write."""

    def __init__(self, api: Api, state: KubernetesState) -> None:
        self._api, self._state = api, state
        self._records: dict[tuple[str, str], _Record] = {}

    def append(self, endpoint: str, release_id: str, window: Window) -> None:
        """See Windows. The record of a release that is new pushes the oldest ones out.

        A part that somebody has removed is not missed.
        """
        key = (endpoint, release_id)
        for attempt in range(_ATTEMPTS):
            record = self._records.get(key)
            if record is None:
                record = self._records[key] = self._known(endpoint, release_id)
            if window.id <= record.newest_window:
                return
            try:
                self._store(endpoint, release_id, record, window)
                return
            except WeirError as error:
                self._records.pop(key)
                if error.reason != "kubernetes.missing" or attempt + 1 == _ATTEMPTS:
                    raise

    def read(self, endpoint: str, release_id: str) -> tuple[Window, ...]:
        """Raises PermanentError ``windows.corrupt``."""
        texts: dict[str, tuple[str, str]] = {}
        for part in self._parts(endpoint, release_id):
            for key, text in (part.get("data") or {}).items():
                texts[key] = (text, name_of(part))
        return tuple(self._parsed(key, *texts[key]) for key in sorted(texts))

    def _store(self, endpoint: str, release_id: str, record: _Record, window: Window) -> None:
        text = window.model_dump_json()
        data = {_key(window.id): text}
        if not record.parts or record.size + len(text) > FULL_BYTES:
            self._begin_part(endpoint, release_id, record, data)
        else:
            name = names.of_windows(endpoint, release_id, record.parts[-1])
            self._api.patch(CONFIG_MAP, name, {"data": data})
        record.newest_window = window.id
        record.size += len(text)

    def _known(self, endpoint: str, release_id: str) -> _Record:
        """Asks for the newest part alone; of the others, and of other releases', the names."""
        found = self._api.list_metadata(CONFIG_MAP, {names.ENDPOINT: endpoint, **COMPONENT})
        parts = sorted(
            _part_number(name_of(one)) for one in found if _release_of(one) == release_id
        )
        if not parts:
            self._forget_oldest(found)
            return _Record()
        newest = self._api.get(CONFIG_MAP, names.of_windows(endpoint, release_id, parts[-1]))
        data: dict[str, str] = (newest or {}).get("data") or {}
        return _Record(
            parts=parts,
            newest_window=max((int(key) for key in data if key.isdigit()), default=-1),
            size=sum(len(text) for text in data.values()),
        )

    def _begin_part(
        self, endpoint: str, release_id: str, record: _Record, data: dict[str, str]
    ) -> None:
        part = record.parts[-1] + 1 if record.parts else 0
        name = names.of_windows(endpoint, release_id, part)
        labels = names.endpoint_labels(endpoint) | COMPONENT | {RELEASE: release_id}
        manifest = CONFIG_MAP.object(name, labels)
        manifest["data"] = data
        try:
            self._api.create(owned_by(manifest, self._state.object(endpoint)))
        except Conflict:
            # Perhaps by this very call, whose answer was lost.
            self._api.patch(CONFIG_MAP, name, {"data": data})
        record.parts.append(part)
        record.size = 0
        while len(record.parts) > MOST_PARTS:
            oldest = names.of_windows(endpoint, release_id, record.parts[0])
            self._api.delete(CONFIG_MAP, oldest)
            record.parts.pop(0)

    def _forget_oldest(self, found: Sequence[Object]) -> None:
        """Make room for the record of one more release."""
        begun: dict[str, str] = {}
        for one in found:
            release = _release_of(one)
            at = str(one["metadata"].get("creationTimestamp", ""))
            begun[release] = min(at, begun.get(release, at))
        oldest = sorted(begun, key=lambda release: begun[release])
        for release in oldest[: max(0, len(oldest) + 1 - KEPT_RECORDS)]:
            for one in found:
                if _release_of(one) == release:
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


def _release_of(one: Object) -> str:
    return str((one["metadata"].get("labels") or {}).get(RELEASE, ""))


def _part_number(name: str) -> int:
    last = name.rsplit(".", 1)[-1]
    return int(last) if last.isdigit() else 0
