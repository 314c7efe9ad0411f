"""Count the parameters of every pretrained backbone that the installed timm lists, for `distingo models --pretrained`.

Writes src/distingo/models/backbone_parameters.json; takes some minutes, and goes on where it was stopped.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import timm
from timm.models import get_pretrained_cfg, list_pretrained

from distingo.files import write_json
from distingo.models.hub import count_by_key, key_of

PLACE = Path(__file__).resolve().parents[1] / "src" / "distingo" / "models" / "backbone_parameters.json"


def main() -> None:
    warnings.simplefilter("ignore")
    keys = sorted({key_of(name, get_pretrained_cfg(name)) for name in list_pretrained()})
    counts = already_counted()
    for number, key in enumerate(keys, start=1):
        if key not in counts:
            counts[key] = count_by_key(key)
        if number % 50 == 0 or number == len(keys):
            write_json(PLACE, {"timm": timm.__version__, "parameters": dict(sorted(counts.items()))})
            print(f"{number} of {len(keys)}", flush=True)


def already_counted() -> dict[str, int | None]:
    content = json.loads(PLACE.read_text(encoding="utf-8")) if PLACE.is_file() else {}
    return content["parameters"] if content.get("timm") == timm.__version__ else {}


if __name__ == "__main__":
    main()
