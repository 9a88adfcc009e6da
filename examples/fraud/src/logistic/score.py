"""Entry script of v1 and v2: a scaled logistic regression saved by train.py."""

import json
import os
from pathlib import Path

import joblib


def init():
    global pipeline, columns
    model = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("model.joblib"))
    saved = joblib.load(model)
    pipeline = saved["pipeline"]
    columns = [saved["names"].index(feature) for feature in saved["features"]]


def run(raw_data):
    """Scores {"data": [[30 numbers], ...]}: a label and a score in [0, 1] for each row."""
    rows = json.loads(raw_data)["data"]
    chosen = [[row[column] for column in columns] for row in rows]
    return [
        {"label": "positive" if score > 0.5 else "negative", "score": round(float(score), 6)}
        for score in pipeline.predict_proba(chosen)[:, 1]
    ]
