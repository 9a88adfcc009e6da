"""Text that a container is to see as it is, although the kubelet fills in variables. Pure."""

from __future__ import annotations


def verbatim(text: str) -> str:
    """What to write into a manifest's env value, command or args for the container to see ``text``.

    There the kubelet replaces ``$(NAME)`` where a variable NAME is defined, and ``$$`` by ``$``. It
    reads from the left and passes over both signs of ``$$``, so that of a text whose every ``$`` is
    doubled nothing else is ever taken for a reference.
    """
    return text.replace("$", "$$")
