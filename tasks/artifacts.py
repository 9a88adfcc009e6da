"""One artifact for each step of a rollout. A rollout never waits for its pictures."""

from __future__ import annotations

import contextvars
import re
import threading
import time

from prefect.artifacts import create_markdown_artifact

from tasks.narration import PROGRESS
from weir.document import EndpointDocument
from weir.rollout import Decision

PATIENCE_SECONDS = 5.0


class Pictures:
    """Stores artifacts aside: while its server is gone, Prefect's client tries for a minute."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def publish_step(self, document: EndpointDocument, decision: Decision) -> None:
        """The decision and its evidence as a markdown artifact of the run. Returns at once."""
        thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_store, document, decision),
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)

    def await_stored(self) -> None:
        """What can be stored is stored; gives up after PATIENCE_SECONDS."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _store(document: EndpointDocument, decision: Decision) -> None:
    try:
        create_markdown_artifact(
            key=f"{document.endpoint.name}-rollout",
            markdown=step_markdown(document, decision),
            description=decision.words,
        )
    except Exception as error:  # noqa: BLE001 the rollout goes on without its picture
        PROGRESS.debug("the artifact of this step was not stored: %s", error)


def _plain(text: str) -> str:
    """``text`` as it is: what a version reported must not become a link, a picture or a cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", text)


def step_markdown(document: EndpointDocument, decision: Decision) -> str:
    rows = [
        f"| {_plain(name)} | {verdict} | {held.log10_e_harm:.2f} | {held.log10_e_safe:.2f} |"
        for name, verdict in decision.verdicts.items()
        if (held := decision.evidence.get(name)) is not None
    ]
    return "\n".join(
        [
            f"## {document.endpoint.name}: {decision.action}",
            "",
            _plain(decision.words),
            "",
            f"Split: {document.endpoint.split}",
            "",
            "| guardrail | verdict | log10 e (harm) | log10 e (safe) |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )
