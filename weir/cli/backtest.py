"""weir backtest: what a policy would do to equal and to worse versions, before it ships."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from weir.backtest.characteristics import backtest, scenarios_of, simulable
from weir.backtest.plot import plot
from weir.backtest.recorded_traffic import traffic_in
from weir.backtest.report import as_data
from weir.backtest.simulation import (
    GREATEST_LATENCY_MS,
    LARGEST_SIGMA,
    LEAST_LATENCY_MS,
    MOST_REQUESTS_PER_MINUTE,
    USUAL_SIGMA,
    USUAL_TRAFFIC,
    Latencies,
    Traffic,
)
from weir.backtest.words import tables, traffic_words
from weir.cli.output import escape, out
from weir.cli.pool import processes
from weir.errors import UserError
from weir.spec.policy import load_policy
from weir.spec.rollout import RolloutPolicy
from weir.spec.window_record import read_windows

MOST_RUNS = 100_000
LARGEST_SEED = 2**63


def backtest_command(
    policy: Annotated[
        Path,
        typer.Argument(
            help="The rollout: part of a release file, or a release file.", show_default=False
        ),
    ],
    requests_per_minute: Annotated[
        float | None,
        typer.Option(help="Requests to the endpoint; 6000 when left out.", show_default=False),
    ] = None,
    failure_rate: Annotated[
        str | None,
        typer.Option(
            help="The control's failures, as a share or in %; 0.01 when left out.",
            show_default=False,
        ),
    ] = None,
    latency_median: Annotated[
        float | None,
        typer.Option(help="The control's, in milliseconds; 50 when left out.", show_default=False),
    ] = None,
    latency_sigma: Annotated[
        float | None,
        typer.Option(
            help="Spread of its logarithms (log-normal); 0.5 when left out.", show_default=False
        ),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(help="Take these from a record of windows instead.", show_default=False),
    ] = None,
    runs: Annotated[int, typer.Option(help="Rollouts of each version, at most.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed, the same numbers.")] = 1,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw it to this SVG file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Simulate whole rollouts: what the policy would do to equal and to worse versions.

    How often each is rolled back and promoted, how soon, and what it costs, at the endpoint's own
    traffic. Less than 30 s on two cores. Exit status is 0, or 2 when the input is wrong.
    """
    wanted = load_policy(policy)
    _require("--runs", runs, 1, MOST_RUNS)
    _require("--seed", seed, 0, LARGEST_SEED)
    traffic = _traffic(
        wanted, windows, requests_per_minute, failure_rate, latency_median, latency_sigma
    )
    if plot_file is not None:
        _require_svg(plot_file)
    with processes(runs * len(scenarios_of(simulable(wanted)[0]))) as mapped:
        report = backtest(wanted, traffic, runs=runs, seed=seed, mapped=mapped)
    if as_json:
        out.print(escape(json.dumps(as_data(report))))
    else:
        out.print(f"{traffic_words(traffic)}; {runs:,} rollouts of each version, seed {seed}\n")
        for line in tables(report):
            out.print(escape(line))
    if plot_file is not None:
        _write(plot_file, plot(report))


def _traffic(
    policy: RolloutPolicy,
    record: Path | None,
    requests_per_minute: float | None,
    failure_rate: str | None,
    latency_median: float | None,
    latency_sigma: float | None,
) -> Traffic:
    """The options, then the record, then what is usual."""
    seen = None
    if record is not None:
        seen = traffic_in(read_windows(record), policy.failure_classes)
        if seen is None:
            raise UserError(
                "backtest.no_traffic",
                "its windows have no requests to the control, the version with the largest share.",
                remedy="Give the record of a rollout; weir keeps them beside the state document.",
                where=str(record),
            )
    known = seen or USUAL_TRAFFIC
    rate = known.requests_per_minute if requests_per_minute is None else requests_per_minute
    _require("--requests-per-minute", rate, 0.001, MOST_REQUESTS_PER_MINUTE)
    share = known.failure_rate if failure_rate is None else _share(failure_rate)
    return Traffic(rate, share, _latencies(known, latency_median, latency_sigma))


def _latencies(known: Traffic, median: float | None, sigma: float | None) -> Latencies:
    if median is None and sigma is None:
        return known.latencies
    if median is None:
        median = known.latencies.quantile_ms(0.5)
    sigma = USUAL_SIGMA if sigma is None else sigma
    _require("--latency-median", median, LEAST_LATENCY_MS, GREATEST_LATENCY_MS)
    _require("--latency-sigma", sigma, 0.001, LARGEST_SIGMA)
    return Latencies.log_normal(median, sigma)


def _share(text: str) -> float:
    """``0.01`` and ``1 %`` are the same."""
    number, percent = text.strip(), text.strip().endswith("%")
    try:
        share = float(number.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise UserError(
            "backtest.bad_option",
            f"--failure-rate is {text}; it has to be a share of at least 0 and less than 1.",
            remedy="1 % is written 0.01 or 1%.",
        )
    return share


def _require(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UserError(
            "backtest.bad_option",
            f"{option} is {value:g}; it has to be from {least:g} to {most:,.0f}.",
            remedy=f"Correct {option}.",
        )


def _require_svg(path: Path) -> None:
    """Known before anything is simulated."""
    if path.suffix.lower() != ".svg":
        raise UserError(
            "backtest.bad_option",
            f"--plot is {path}; pictures are drawn as SVG only.",
            remedy="Give a name that ends in .svg.",
        )
    if not path.expanduser().absolute().parent.is_dir():
        raise UserError(
            "backtest.unwritable",
            f"--plot is {path}, and its folder does not exist.",
            remedy="Make the folder, or give another name.",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            "backtest.unwritable",
            f"cannot be written: {error.strerror}.",
            remedy="Give another name to --plot.",
            where=str(path),
        ) from error
