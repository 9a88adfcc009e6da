"""What is wrong with a release file, one line for each mistake."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weir.errors import UserError

LONGEST_PROBLEM = 1_000


@dataclass(frozen=True)
class Problem:
    """One mistake. ``line`` and ``column`` count from 1; 0 means the file as a whole.

    ``field`` is the path as a user would write it, such as ``rollout.guardrails[1].margin``.
    """

    file: str
    message: str
    field: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}"
        if self.line and self.column:
            place += f":{self.column}"
        line = ": ".join(part for part in (place, self.field, self.message) if part)
        return line if len(line) <= LONGEST_PROBLEM else f"{line[: LONGEST_PROBLEM - 3]}..."


class SpecError(UserError):
    """The release file is wrong; nothing was touched. ``problems`` holds every mistake found.

    ``str`` gives one line for each problem, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.field)))
        super().__init__(
            "spec.invalid",
            "\n".join(str(problem) for problem in self.problems),
            remedy="Correct the release file and run again; nothing was touched.",
            where=self.problems[0].file if self.problems else "",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return SpecError, (self.problems,)

    def __str__(self) -> str:
        return self.message
