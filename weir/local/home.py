"""The home folder of the local platform: where everything lives, and how files get there whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from weir.errors import PermanentError

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
RESERVE_BYTES = 4 * 2**20
"""Room that a full disk leaves for what has to be written to put traffic back."""

LONGEST_SOCKET_PATH = 100
"""A unix socket's path has to be shorter than 108 bytes on Linux and 104 on macOS."""

_LONGEST_SOCKET_NAME = 40
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
        return self.root / "reserve"

    def keep_reserve(self) -> None:
        """Set room aside for the day when the disk is full, while there is plenty."""
        with contextlib.suppress(OSError):
            if not self.reserve.exists() and _free_bytes(self.root) > 16 * RESERVE_BYTES:
                write_atomically(self.reserve, bytes(RESERVE_BYTES), PRIVATE_FILE)

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


def write_with_reserve(home: Home, path: Path, text: str) -> None:
    """``write_atomically``, in the room that was set aside when there is no other."""
    try:
        write_atomically(path, text)
    except PermanentError as error:
        if error.reason != "disk.full" or not home.reserve.exists():
            raise
        home.reserve.unlink(missing_ok=True)
        write_atomically(path, text)


def write_atomically(
    path: Path, text: str | bytes, mode: int = PRIVATE_FILE, *, durable: bool = True
) -> None:
    """Replace ``path`` by ``text``: readers see the old file or the new one, also after a crash.

    ``durable`` has it survive a power cut as well. Raises PermanentError ``disk.full`` or
    ``disk.unwritable``; the old file then stays and no temporary file is left.
    """
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def storage_error(error: OSError, path: Path) -> PermanentError:
    """An operating-system error while writing ``path``, in weir's words."""
    if error.errno in _DISK_FULL:
        return PermanentError(
            "disk.full",
            "there is no space left to write this file; what was there before is unchanged.",
            remedy=f"Free space below {path.parent} (weir needs little), then run again.",
            where=str(path),
        )
    return PermanentError(
        "disk.unwritable",
        f"this cannot be written: {error.strerror or error}.",
        remedy="Give your user the right to write there, or choose another WEIR_HOME.",
        where=str(path),
    )


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
