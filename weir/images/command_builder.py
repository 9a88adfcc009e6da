"""Images built by buildah, podman or docker on this machine, and pushed to a registry."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from weir.errors import PermanentError, TemporaryError, UserError
from weir.images.commands import PROGRAMS, build_command, is_docker, push_command
from weir.images.context import check_unchanged, write_folder
from weir.images.credentials import find_credentials
from weir.images.failures import build_failure, push_failure, quoted, shown, unwritable
from weir.images.planning import PlannedImage, planned
from weir.images.registry import Registry, is_loopback
from weir.images.running import Ended, run
from weir.images.settings import ImageSettings, ToolSettings
from weir.ports import BuildContext, Image, Say, unsaid


class CommandBuilder:
    """Implements ``Images``: REGISTRY/REPOSITORY/MODEL:TAG, where the tag is the content.

    The tag is in the registry when everything below it is, since a push names it last: a builder
    that was killed left nothing, or the whole image. ``folder`` holds the context while it is
    built; the system's temporary one when None.
    """

    retains = False

    def __init__(
        self,
        settings: ImageSettings,
        tool: ToolSettings | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        self._settings = settings
        self._tool = tool or ToolSettings()
        self._folder = folder or Path(tempfile.gettempdir(), f"weir-images-{os.getuid()}")
        self._is_plain = settings.plain_http or is_loopback(settings.registry)
        self._registry = Registry(
            settings.registry,
            lambda: find_credentials(settings.registry, self._tool.auth_file),
            plain_http=settings.plain_http or None,
        )

    def digest(self, context: BuildContext) -> str:
        """Raises UserError ``image.*`` for what is missing."""
        return str(planned(context, self._settings).reference)

    def build(self, context: BuildContext, say: Say = unsaid) -> Image:
        """See Images; ``say`` is told what the build prints.

        Raises UserError, PermanentError and TemporaryError ``image.*``, or ``disk.full``.
        """
        plan = planned(context, self._settings)
        if self._digest_there(plan) is not None:
            return Image(str(plan.reference), built=False)
        program = self._program()
        with self._scratch() as scratch:
            try:
                written = write_folder(plan.prepared, scratch / "context")
            except OSError as error:
                raise unwritable(error, scratch) from error
            check_unchanged(written, plan.content, context)
            for line in plan.prepared.loose:
                say(f"not exact, so chosen now and kept in this image: {line}")
            self._build(program, plan, scratch, context, say)
            self._push(program, plan, scratch, say)
        if self._digest_there(plan) is None:
            raise PermanentError(
                "image.push_failed",
                f"{Path(program).name} ended well, and the registry has no such image.",
                remedy="Check that the builder pushes to this registry, and not to a mirror.",
                where=str(plan.reference),
            )
        return Image(str(plan.reference), built=True)

    def retain(self, digests: Sequence[str]) -> None:
        """Nothing: a registry has rules of its own for what it keeps."""

    def _digest_there(self, plan: PlannedImage) -> str | None:
        return self._registry.find(plan.reference.repository, plan.reference.tag)

    def _build(
        self, program: str, plan: PlannedImage, scratch: Path, context: BuildContext, say: Say
    ) -> None:
        pulled = self._settings.bases.pulled(context.inference)
        ours = f"{self._settings.registry}/"
        command = build_command(
            program,
            self._tool,
            self._settings,
            plan.reference,
            scratch / "context",
            is_plain=self._is_plain and all(one.startswith(ours) for one in pulled),
        )
        ended = self._run(program, command, scratch, self._tool.build_timeout_seconds, say)
        if ended.exit_status != 0:
            raise build_failure(ended.last_lines, str(plan.reference))

    def _push(self, program: str, plan: PlannedImage, scratch: Path, say: Say) -> None:
        command = push_command(program, self._tool, plan.reference, is_plain=self._is_plain)
        ended = self._run(program, command, scratch, self._tool.push_timeout_seconds, say)
        if ended.exit_status != 0:
            raise push_failure(ended.last_lines, str(plan.reference))

    def _run(
        self,
        program: str,
        command: Sequence[str],
        scratch: Path,
        timeout_seconds: float,
        say: Say,
    ) -> Ended:
        try:
            ended = run(
                command,
                timeout_seconds=timeout_seconds,
                environment=self._environment(program, scratch),
                say=lambda line: say(shown(line)),
            )
        except OSError as error:
            raise _no_program(program, str(error.strerror)) from error
        if ended.exit_status is None:
            raise TemporaryError(
                "image.builder_timeout",
                f"{Path(program).name} did not end within {timeout_seconds:g} s; its last"
                f" lines:{quoted(ended.last_lines)}\n",
                remedy="Check the connection to registry and package index, or give it more time"
                " in the builder's settings.",
                where=self._settings.registry,
            )
        return ended

    def _environment(self, program: str, scratch: Path) -> dict[str, str]:
        """docker has no option for a login's file: it reads config.json of a folder."""
        found = {"BUILDKIT_PROGRESS": "plain"}
        if is_docker(program) and self._tool.auth_file:
            login = scratch / "login"
            login.mkdir(exist_ok=True)
            file = login / "config.json"
            if not file.is_symlink():
                file.symlink_to(Path(self._tool.auth_file).expanduser().resolve())
            found["DOCKER_CONFIG"] = str(login)
        return found

    def _program(self) -> str:
        wanted = (self._tool.program,) if self._tool.program else PROGRAMS
        found = next((path for path in map(shutil.which, wanted) if path), None)
        if found is None:
            raise _no_program(" or ".join(wanted), "it is not installed")
        return found

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder of this build alone; those of builders that were killed are removed."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self._folder.glob("*.tmp"):
                pid = left.name.split("-")[0]
                if not pid.isdigit() or not psutil.pid_exists(int(pid)):
                    shutil.rmtree(left, ignore_errors=True)
            scratch = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}.tmp"
            scratch.mkdir(mode=0o700)
        except OSError as error:
            raise unwritable(error, self._folder) from error
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _no_program(program: str, why: str) -> UserError:
    return UserError(
        "image.no_builder",
        f"no image can be built with {program}: {why}.",
        remedy="Install buildah, podman or docker where weir runs, have the registry build, or name"
        " a finished image in inference.image.",
        where=program,
    )
