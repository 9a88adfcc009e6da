"""The home folder of the local platform: where everything lives."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from weir.errors import PermanentError
from weir.local.disk import storage_error

PRIVATE_FOLDER = 0o700

LONGEST_SOCKET_PATH = 100
"""A unix socket's path has to be shorter than 108 bytes on Linux and 104 on macOS."""

_LONGEST_SOCKET_NAME = 40


def default_home() -> Path:
    """``WEIR_HOME``, or ``~/.weir``."""
    return Path(os.environ.get("WEIR_HOME") or Path.home() / ".weir")


class Home:
    """Paths below one home folder.

    The folders of the fixed layout (``processes``, ``logs``, ``images``, ``environments``,
    ``models``, ``endpoints``, ``run``) and of an endpoint are created with mode 0700 when they
    are asked for; ``image``, ``environment`` and ``model`` only name a place.
    """

    def __init__(self, root: Path) -> None:
        # Resolved, or the same home through a link would be another one.
        self.root = Path(root).expanduser().resolve()

    def __fspath__(self) -> str:
        return str(self.root)

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"

    @property
    def digest(self) -> str:
        """Eight characters that tell this home from any other on the machine."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def processes(self) -> Path:
        return self._folder("processes")

    @property
    def logs(self) -> Path:
        return self._folder("logs")

    @property
    def images(self) -> Path:
        return self._folder("images")

    @property
    def environments(self) -> Path:
        return self._folder("environments")

    @property
    def models(self) -> Path:
        return self._folder("models")

    @property
    def endpoints(self) -> Path:
        return self._folder("endpoints")

    @property
    def run(self) -> Path:
        """Where unix sockets go; a short folder below /tmp when the home's path is too long.

        Raises PermanentError ``home.insecure`` when that folder belongs to somebody else.
        """
        inside = self.root / "run"
        if len(os.fsencode(inside)) + 1 + _LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH:
            return self._folder("run")
        return _private_temporary_folder(f"weir-{os.getuid()}-{self.digest}")

    def require_access(self) -> None:
        """Raise PermanentError ``home.not_yours`` when this user may not work in the home."""
        if not os.path.lexists(self.root) and os.access(self.root.parent, os.X_OK):
            return
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise PermanentError(
                "home.not_yours",
                "you may not read and write this home of weir; another user made it, perhaps you"
                " yourself as root.",
                remedy="Choose another, WEIR_HOME=FOLDER, or give it to your user.",
                where=str(self.root),
            )

    @property
    def reserve(self) -> Path:
        """Set aside for a full disk; see ``weir.local.disk``."""
        return self.root / "reserve"

    def ensure_run(self) -> None:
        """Make the folder for sockets; a process that binds one below /tmp does not do so itself.

        Raises PermanentError ``home.insecure`` or ``disk.*``.
        """
        _ = self.run

    def forget_sockets(self) -> None:
        """Remove the folder for sockets if it lies outside the home. Nothing may run any more."""
        if self.run != self.root / "run":
            shutil.rmtree(self.run, ignore_errors=True)

    def process_spec(self, name: str) -> Path:
        return self.processes / f"{name}.json"

    def process_status(self, name: str) -> Path:
        return self.processes / f"{name}.status.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def image(self, digest: str) -> Path:
        return self.images / digest

    def environment(self, digest: str) -> Path:
        return self.environments / digest

    def model(self, name: str, version: str) -> Path:
        return self.models / name / version

    def endpoint(self, name: str) -> Path:
        return self._folder("endpoints", name)

    def state(self, endpoint: str) -> Path:
        return self.endpoint(endpoint) / "state.json"

    def state_lock(self, endpoint: str) -> Path:
        return self.endpoint(endpoint) / "state.lock"

    def keys(self, endpoint: str) -> Path:
        return self.endpoint(endpoint) / "keys.json"

    def windows(self, endpoint: str) -> Path:
        return self.endpoint(endpoint) / "windows.ndjson"

    def gateway(self, endpoint: str) -> Path:
        return self._folder("endpoints", endpoint, "gateway")

    def access_log(self, endpoint: str) -> Path:
        return self.gateway(endpoint) / "access.log"

    def socket(self, name: str) -> Path:
        """A path for a unix socket, short enough for the operating system whatever the name."""
        filename = f"{name}.sock"
        if len(os.fsencode(filename)) > _LONGEST_SOCKET_NAME:
            filename = f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.sock"
        return self.run / filename

    def _folder(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        if not path.is_dir():
            try:
                for folder in (
                    self.root,
                    *(self.root.joinpath(*parts[: i + 1]) for i in range(len(parts))),
                ):
                    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            except OSError as error:
                raise storage_error(error, path) from error
        return path


def _private_temporary_folder(name: str) -> Path:
    # Always the same folder: every command and daemon of this home has to find it, whatever
    # TMPDIR says in its own environment.
    base = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    folder = base / name
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise storage_error(error, folder) from error
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermanentError(
            "home.insecure",
            "this folder for sockets is not yours alone.",
            remedy="Remove it, or choose a shorter WEIR_HOME.",
            where=str(folder),
        )
    return folder
