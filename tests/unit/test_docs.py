"""What the pages tell people to type exists, and the lock file names no address."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from weir.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")})
TYPED = re.compile(r"^(?: {4}|\$ )(?P<line>(?:weir|make) .*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
GROUP = typer.main.get_group(app)
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def typed(page: Path) -> Iterator[list[str]]:
    for match in TYPED.finditer(page.read_text()):
        yield shlex.split(match["line"].split("#")[0])


def commands(name: str) -> list[list[str]]:
    return [words for page in PAGES for words in typed(page) if words[0] == name]


def test_the_pages_show_commands_at_all() -> None:
    assert len(commands("weir")) > 8
    assert len(commands("make")) > 2


@pytest.mark.parametrize("words", commands("weir"), ids=" ".join)
def test_every_weir_command_in_the_pages_exists_with_its_options(words: list[str]) -> None:
    command, rest = GROUP.commands.get(words[1]), words[2:]
    assert command is not None, f"weir has no command {words[1]}"
    if hasattr(command, "commands"):
        command, rest = command.commands.get(words[2]), words[3:]
        assert command is not None, f"weir {words[1]} has no command {words[2]}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in rest:
        if word.startswith("-"):
            assert word.split("=")[0] in known, f"{' '.join(words[:3])} has no option {word}"


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_every_make_target_in_the_pages_exists(words: list[str]) -> None:
    assert words[1] in TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_lock_file_pins_by_hash_and_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9_.\[\]-]+==", lock, re.MULTILINE)
    assert len(pins) > 50
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert "index-url" not in lock.replace("--no-emit-index-url", "")
