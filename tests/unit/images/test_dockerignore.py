from __future__ import annotations

import pytest

from weir.errors import UserError
from weir.images.dockerignore import parse


@pytest.mark.parametrize(
    ("lines", "left_out", "kept"),
    [
        (["*.log"], ["a.log"], ["logs/a.log", "a.logs"]),
        (["**/*.log"], ["a.log", "b/c/a.log"], ["a.txt"]),
        (["temp?"], ["temp1", "tempa/b"], ["temp", "temp12", "a/temp1"]),
        (["/data/"], ["data", "data/x/y"], ["src/data", "database"]),
        (["./data"], ["data/x"], ["data2"]),
        (["data/*"], ["data/x", "data/x/y"], ["data"]),
        (["data/**"], ["data/x", "data/x/y"], ["data", "database/x"]),
        (["*", "!keep.py"], ["drop.py", "a/b"], ["keep.py"]),
        (["*", "!src", "src/*.md"], ["a", "src/x.md"], ["src/x.py", "src/deep/x.md"]),
        (["!keep.py", "*"], ["keep.py"], []),
        (["[ab].py"], ["a.py"], ["c.py"]),
        (["[^ab].py"], ["c.py"], ["a.py"]),
        (["[a-c][!].py"], ["b!.py"], ["bx.py"]),
        ([r"\*.py"], ["*.py"], ["a.py"]),
        (["a.b"], ["a.b"], ["axb"]),
        (["# *.py", "", "  *.md  "], ["a.md"], ["a.py"]),
        (["a/../b"], ["b"], ["a"]),
    ],
)
def test_a_pattern_leaves_out_what_docker_leaves_out(
    lines: list[str], left_out: list[str], kept: list[str]
) -> None:
    ignored = parse(lines)
    assert [path for path in left_out if path not in ignored] == []
    assert [path for path in kept if path in ignored] == []


@pytest.mark.parametrize("line", ["!", "[ab", "a[", "[b-a]", "x\\"])
def test_what_docker_refuses_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(UserError, match="line 2") as raised:
        parse(["*.log", line], "src/.dockerignore")
    assert raised.value.reason == "image.dockerignore_invalid"
    assert raised.value.where == "src/.dockerignore"
