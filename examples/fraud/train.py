"""Trains the three models of this example and writes them, with requests, into a folder.

    python train.py --out build

Gives the same files every time. Needs what requirements.txt lists.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 2026
HELD_OUT = 0.4
FEW_FEATURES = ["mean radius", "mean texture", "mean smoothness"]
BINS_PER_STANDARD_DEVIATION = 2
SAMPLES = 12


def train_logistic(features, names, rows, labels, folder):
    """A scaled logistic regression on some of the columns; returns a scoring function."""
    columns = [names.index(feature) for feature in features]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(rows[:, columns], labels)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(
        {"names": names, "features": features, "pipeline": pipeline}, folder / "model.joblib"
    )
    return lambda row: pipeline.predict_proba(row[None, columns])[0, 1]


def train_scorecard(names, rows, labels, folder):
    """Points for every bin of every column, added up; returns a scoring function.

    Points are the log odds of the bin against those of all rows. A bin without training rows
    has no points, which is what goes wrong in production.
    """
    everywhere = np.log(labels.mean() / (1 - labels.mean()))
    widths = rows.std(axis=0) / BINS_PER_STANDARD_DEVIATION
    points = {}
    for column, name in enumerate(names):
        bins = np.floor(rows[:, column] / widths[column]).astype(int)
        points[name] = {}
        for number in np.unique(bins):
            inside = labels[bins == number]
            odds = (inside.sum() + 0.5) / (len(inside) - inside.sum() + 0.5)
            points[name][str(number)] = round(float(np.log(odds) - everywhere), 4)
    card = {
        "start": round(float(everywhere), 4),
        "widths": dict(zip(names, widths.tolist(), strict=True)),
        "points": points,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scorecard.json").write_text(json.dumps(card, indent=1))

    def score(row):
        total = card["start"]
        for name, value in zip(names, row, strict=True):
            total += card["points"][name][str(int(value // card["widths"][name]))]
        return 1 / (1 + np.exp(-total))

    return score


def report(name, score, rows, labels):
    """Prints the accuracy on the held-out rows, and on how many of them scoring raises."""
    right = raised = 0
    for row, label in zip(rows, labels, strict=True):
        try:
            right += (score(row) > 0.5) == (label == 1)
        except KeyError:
            raised += 1
    scored = len(rows) - raised
    print(f"{name}: accuracy {right / scored:.3f} on {scored} of {len(rows)} held-out rows")
    if raised:
        print(f"{name}: raises KeyError on the other {raised} ({raised / len(rows):.1%})")


def write_requests(path, rows):
    """One request body a line, with one row each."""
    lines = (json.dumps({"data": [row.tolist()]}) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "build")
    out = parser.parse_args().out

    data = load_breast_cancer()
    names = [str(name) for name in data.feature_names]
    # The data set calls malignant 0; here 1 is the class that is looked for.
    labels = (data.target == 0).astype(int)
    rows, held_out, labels, held_out_labels = train_test_split(
        data.data, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    models = {
        "v1": train_logistic(FEW_FEATURES, names, rows, labels, out / "model-v1"),
        "v2": train_logistic(names, names, rows, labels, out / "model-v2"),
        "v3": train_scorecard(names, rows, labels, out / "model-v3"),
    }
    for name, score in models.items():
        report(name, score, held_out, held_out_labels)
    write_requests(out / "requests.ndjson", held_out)
    write_requests(out / "samples.ndjson", rows[:SAMPLES])


if __name__ == "__main__":
    main()
