"""Starting a process so that it outlives its supervisor, and holding on to one that runs."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import socket
import subprocess
from collections.abc import Collection, Iterable, Mapping

from weir.local import pids
from weir.local.disk import PRIVATE_FILE
from weir.local.home import Home
from weir.local.processes import ProcessSpec

PORTS = range(20_000, 32_000)
"""Free ports are looked for here: below the range from which the operating system takes the
ports of outgoing connections, so that none of those takes a restarting process's port."""

_INHERITED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        "LD_LIBRARY_PATH",
    )
)
_INHERITED_ENDINGS = ("_proxy", "_PROXY")

INHERITS, PACKAGE_INDEX = "inherits", "package-index"
"""Label of a process that releases, and so has to know where packages come from, and where a
cluster is."""

_INDEX_BEGINNINGS = ("PIP_", "UV_")
_NO_INDEX_BEGINNING = "UV_PUBLISH_"
_KUBECONFIG = "KUBECONFIG"


class Running:
    """A process that was started or adopted. ``exit_code`` is known of started ones only."""

    def __init__(
        self,
        pid: int,
        process_started_at: float | None,
        marker: str,
        popen: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self.pid = pid
        self.process_started_at = process_started_at
        self.exit_code: int | None = None
        self.marker = marker
        self._popen = popen

    def has_ended(self) -> bool:
        if self._popen is None:
            return not pids.is_alive(self.pid, self.process_started_at)
        self.exit_code = self._popen.poll()
        return self.exit_code is not None

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def kill_rest(self) -> None:
        """End what the process left behind, for example workers that still hold its port.

        To be called as soon as ``has_ended``: that is all of its session, whatever environment
        they have made for themselves, and all that carry its marker.
        """
        marked = {pid for pid, marker in pids.marked(self.marker) if marker == self.marker}
        for pid in {*marked, *pids.in_session(self.pid)}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self.has_ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def marker(home: Home, name: str, generation: str) -> str:
    return f"{home.digest}/{name}/{generation}"


def launch(spec: ProcessSpec, home: Home, port: int | None, generation: str) -> Running:
    """Start ``spec`` in a session of its own, with its output appended to its log.

    The folder of its sockets is there, also after a reboot that emptied /tmp. Raises OSError when
    the program cannot be executed, PermanentError ``home.insecure`` or ``disk.*``.
    """
    mark = marker(home, spec.name, generation)
    home.ensure_run()
    output = _output(home, spec.name)
    try:
        popen = subprocess.Popen(
            [_with_port(argument, port) for argument in spec.argv],
            env=environment(spec, port, os.environ) | {pids.MARKER: mark},
            cwd=spec.cwd or home.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)
    return Running(popen.pid, pids.started_at(popen.pid), mark, popen)


def environment(
    spec: ProcessSpec, port: int | None, inherited: Mapping[str, str]
) -> dict[str, str]:
    """What the process sees: few inherited settings, its own, and PORT when it has a port.

    The supervisor runs in the environment of whichever command happened to start it; passing
    that on whole would make processes differ by chance, and hand them the user's secrets.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name in _INHERITED
        or name.startswith("LC_")
        or name.endswith(_INHERITED_ENDINGS)
        or (spec.labels.get(INHERITS) == PACKAGE_INDEX and _is_for_releases(name))
    }
    if port is not None:
        kept["PORT"] = str(port)
    return kept | {name: _with_port(value, port) for name, value in spec.env.items()}


def _is_for_releases(name: str) -> bool:
    if name == _KUBECONFIG:
        return True
    return name.startswith(_INDEX_BEGINNINGS) and not name.startswith(_NO_INDEX_BEGINNING)


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of this machine's loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(
    avoid: Collection[int], kept: int | None = None, candidates: Iterable[int] | None = None
) -> int:
    """``kept`` while it is free, else a free port that is not in ``avoid``.

    Raises OSError when there is none.
    """
    if kept is not None and is_free(kept):
        return kept
    start = random.randrange(len(PORTS))  # no other home should begin with the same one
    for port in candidates or (PORTS[(start + i) % len(PORTS)] for i in range(len(PORTS))):
        if port not in avoid and is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, "no free port")


def _with_port(text: str, port: int | None) -> str:
    return text if port is None else text.replace("{port}", str(port))


def _output(home: Home, name: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(home.log(name), flags, PRIVATE_FILE)
    except OSError:
        # A full disk must not keep a gateway from being restarted.
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
