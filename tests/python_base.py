"""An image with Python to build on, made of the interpreter that runs the tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = ("sh", "mkdir", "rm", "env")
"""What the steps of weir's Dockerfile call besides Python."""

_LEFT_OUT = ("test", "tests", "idlelib", "tkinter", "turtledemo", "site-packages", "__pycache__")
_LIBRARIES = r"gcc_s|stdc\+\+|rt|pthread|dl|m|util|resolv|nss_dns"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def python_base(folder: Path) -> Path:
    """A build context of an image with Python, pip and a shell; this machine's index settings."""
    root = folder / "root"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = root / "usr/local/lib" / version
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        library,
        ignore=shutil.ignore_patterns(*_LEFT_OUT, "config-*"),
    )
    (library / "site-packages").mkdir()
    interpreter = root / "usr/local/bin" / version
    interpreter.parent.mkdir(parents=True)
    shutil.copy(Path(sys.base_prefix) / "bin" / version, interpreter)
    for name in ("python3", "python"):
        interpreter.with_name(name).symlink_to(version)
    (root / "bin").mkdir()
    for program in PROGRAMS:
        shutil.copy(str(shutil.which(program)), root / "bin" / program)
    binaries = [interpreter, *library.glob("lib-dynload/*.so"), *(root / "bin").iterdir()]
    for needed in libraries(binaries) | _for_wheels():
        place = root / needed.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(needed.resolve(), place)
    (root / "tmp").mkdir()
    if _CERTIFICATES.exists():
        place = root / _CERTIFICATES.relative_to("/")
        place.parent.mkdir(parents=True)
        shutil.copy(_CERTIFICATES, place)
    lines = ["FROM scratch", "COPY root/ /", 'RUN ["/usr/local/bin/python3", "-c", "%s"]']
    lines[-1] %= "import os; os.chmod('/tmp', 0o1777)"
    lines += ["ENV PATH=/usr/local/bin:/usr/bin:/bin", *_index_settings()]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return folder


def libraries(binaries: Iterable[Path]) -> set[Path]:
    """The shared libraries that ``binaries`` are linked with, the loader among them."""
    found: set[Path] = set()
    for binary in binaries:
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
        found |= {Path(one) for one in re.findall(r"(/\S+) \(0x", done.stdout)}
    return found


def _for_wheels() -> set[Path]:
    """What compiled packages expect of every Linux besides the C library."""
    done = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    wanted = rf"lib(?:{_LIBRARIES})\.so\.\d+ \(libc6,\S*64.*\) => (/\S+)"
    return {Path(one) for one in re.findall(wanted, done.stdout)}


def _index_settings() -> list[str]:
    return [
        f'ENV {name}="{value}"'
        for name, value in sorted(os.environ.items())
        if name.startswith("PIP_") and name != "PIP_FIND_LINKS"
    ]
