"""Entry script of v3: a scorecard, points for the bin of each value added up."""

import json
import math
import os
from pathlib import Path


def init():
    global start, scale
    path = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("scorecard.json"))
    card = json.loads(path.read_text())
    start = card["start"]
    scale = [(card["widths"][name], points) for name, points in card["points"].items()]


def run(raw_data):
    """Scores {"data": [[30 numbers], ...]}: a label and a score in [0, 1] for each row."""
    answers = []
    for row in json.loads(raw_data)["data"]:
        total = start
        for value, (width, points) in zip(row, scale, strict=True):
            total += points[str(int(value // width))]
        score = 1 / (1 + math.exp(-total))
        answers.append(
            {"label": "positive" if score > 0.5 else "negative", "score": round(score, 6)}
        )
    return answers
