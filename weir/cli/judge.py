"""weir judge: recorded windows through a policy, for post-mortems and for tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from weir.decision import Reason
from weir.errors import UserError
from weir.replay import (
    MOST_TREATMENTS,
    Judgement,
    Outcome,
    outcomes,
    replay,
    treatments_in,
)
from weir.spec.policy import load_policy
from weir.spec.text import printable
from weir.spec.window_record import read_windows
from weir.window import Window

WORDS = {"promoted": "✔ {} promoted", "rolled_back": "↩ {} rolled back"}


def judge(
    windows: Annotated[
        Path, typer.Argument(help="Recorded windows, one JSON object a line.", show_default=False)
    ],
    policy: Annotated[
        Path, typer.Option(help="The rollout: part of a release file, or a release file.")
    ],
    control: Annotated[
        str | None,
        typer.Option(
            help="The version to compare with; the first window's largest share by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Replay recorded windows: what each one would decide, and the verdict.

    The record's split is taken as it is; "promoted" means that promotion would be allowed. Exit
    status is 0 whatever the verdict, 2 when a file is wrong.
    """
    wanted = load_policy(policy)
    recorded = read_windows(windows)
    name = control or _largest_share(recorded[0], windows)
    _require_control(name, recorded, windows)
    several = len(_require_few_treatments(name, recorded, windows)) > 1
    judgements: list[Judgement] = []
    try:
        for judgement in replay(wanted, recorded, name):
            if not judgements and control is None and not as_json:
                _print(f"control: {name}, the largest share in the first window")
            judgements.append(judgement)
            _print(_as_json(judgement) if as_json else _in_words(judgement))
    except OverflowError as error:
        raise UserError(
            "judge.no_such_time",
            f"its pauses lead beyond the calendar: {error}.",
            remedy="Correct the times in the record.",
            where=str(windows),
        ) from error
    for outcome in outcomes(judgements):
        _print(_end_as_json(outcome, several) if as_json else _end_in_words(outcome, judgements))


def _print(line: str) -> None:
    # Not through rich, which takes a millisecond a line and draws :names: as pictures.
    typer.echo(printable(line))


def _as_json(judged: Judgement) -> str:
    decision = judged.decision
    return json.dumps(
        {
            "id": judged.id,
            "action": decision.action,
            "treatment": judged.treatment,
            "reason": decision.reason,
            "verdicts": dict(decision.verdicts),
            "evidence": {
                guardrail: {
                    "log10_e_harm": found.log10_e_harm,
                    "log10_e_safe": found.log10_e_safe,
                    "interval": found.interval,
                }
                for guardrail, found in decision.evidence.items()
            },
        }
    )


def _in_words(judged: Judgement) -> str:
    decision = judged.decision
    action = decision.action.replace("_", " ")
    line = f"{judged.id:>6}  {action} {judged.treatment} ({decision.reason}): {decision.words}"
    following = decision.next_step
    if following is None or not following.pace or decision.reason is Reason.REPEATED:
        return line
    return f"{line}; {following.goal} {following.pace}"


def _end_as_json(outcome: Outcome, several: bool) -> str:
    whose = {"treatment": outcome.treatment} if several else {}
    return json.dumps({**whose, "verdict": outcome.verdict, "at": outcome.at})


def _end_in_words(outcome: Outcome, judgements: Sequence[Judgement]) -> str:
    words = next(
        judged.decision.words
        for judged in reversed(judgements)
        if judged.treatment == outcome.treatment and judged.decision.reason is not Reason.REPEATED
    )
    if outcome.verdict not in WORDS:
        return f"• {outcome.treatment} undecided after window {outcome.at}: {words}"
    return f"{WORDS[outcome.verdict].format(outcome.treatment)} at window {outcome.at}: {words}"


def _largest_share(first: Window, path: Path) -> str:
    """The control when nobody names it: whoever has most of the first window's traffic."""
    shares = sorted(first.split.items(), key=lambda item: -item[1])
    if not shares or (len(shares) > 1 and shares[0][1] == shares[1][1]):
        raise UserError(
            "judge.no_control",
            "the first window does not tell the control: no version has the largest share.",
            remedy="Name it: --control VERSION.",
            where=str(path),
        )
    return shares[0][0]


def _require_control(name: str, recorded: Sequence[Window], path: Path) -> None:
    known = sorted({seen for window in recorded for seen in (*window.split, *window.versions)})
    if name not in known:
        raise UserError(
            "judge.unknown_control",
            f"no window has a version {printable(name)};"
            f" there is {printable(', '.join(known)) or 'none'}.",
            remedy="Correct --control.",
            where=str(path),
        )
    if not treatments_in(recorded, name):
        raise UserError(
            "judge.no_treatment",
            f"no version but {printable(name)} has traffic, so there is nothing to compare.",
            remedy="Give the record of a rollout; weir keeps them beside the state document.",
            where=str(path),
        )


def _require_few_treatments(name: str, recorded: Sequence[Window], path: Path) -> tuple[str, ...]:
    treatments = treatments_in(recorded, name)
    if len(treatments) > MOST_TREATMENTS:
        raise UserError(
            "judge.too_many_treatments",
            f"the record has {len(treatments)} treatments beside {printable(name)}; at most"
            f" {MOST_TREATMENTS} can be judged together.",
            remedy="Leave the others out of the record's splits.",
            where=str(path),
        )
    return treatments
