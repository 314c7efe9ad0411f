"""What `serving_load.py` measures distingo against, each a server with the same model behind the same preprocessing.

    python benchmarks/serving_contenders.py litserve RUN PORT --engine openvino --workers 1

LitServe as its documentation shows for a model that gains from batches (`decode_request`, `batch`, `predict` on a whole
batch, `unbatch`, `encode_response`; multipart uploads); FastAPI as one writes it first: a route that decodes the
upload and predicts, which FastAPI runs in its thread pool.
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import numpy as np
from PIL import Image

from distingo.machine.process import configure_process
from distingo.prediction.predictor import Predictor, load

configure_process()


def decode(predictor: Predictor, content: bytes) -> np.ndarray:
    return predictor.preprocess(Image.open(io.BytesIO(content)).convert("RGB"))


def name(predictor: Predictor, chances: np.ndarray) -> dict[str, Any]:
    order = np.argsort(-chances)[:5]
    return {"scores": [{"label": predictor.classes[each], "probability": float(chances[each])} for each in order]}


class Steps:
    """What LitServe calls, one after another; in its words, so that it finds them."""

    def __init__(self, run: str, engine: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._run, self._engine = run, engine

    def setup(self, device: str) -> None:
        del device
        self.predictor = load(self._run, engine=self._engine)

    def decode_request(self, request):  # without annotations, which LitServe would read
        return decode(self.predictor, request["images"].file.read())

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.predictor.predict_rows(rows).probabilities

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return name(self.predictor, output)


try:
    import litserve
except ImportError:
    litserve = None
else:

    class Classifier(Steps, litserve.LitAPI):
        """Found by its name in the processes that LitServe starts."""


def run_litserve(options: argparse.Namespace) -> None:
    api = Classifier(options.run, options.engine, max_batch_size=options.batch, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=options.workers)
    server.run(port=options.port, host="127.0.0.1", log_level="error", generate_client_file=False)


def run_fastapi(options: argparse.Namespace) -> None:
    import uvicorn
    from fastapi import FastAPI, UploadFile

    app, predictor = FastAPI(), load(options.run, engine=options.engine)

    def predict(images: UploadFile) -> dict[str, Any]:
        row = decode(predictor, images.file.read())
        return name(predictor, predictor.predict_rows(row[None]).probabilities[0])

    predict.__annotations__ = {"images": UploadFile, "return": dict[str, Any]}
    app.post("/predict")(predict)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="error", workers=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["litserve", "fastapi"])
    parser.add_argument("run")
    parser.add_argument("port", type=int)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    {"litserve": run_litserve, "fastapi": run_fastapi}[given.kind](given)
