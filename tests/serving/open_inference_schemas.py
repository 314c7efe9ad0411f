"""The shapes of the Open Inference Protocol's REST messages, as JSON schemas.

Written after `specification/protocol/inference_rest.md` and `open_inference_rest.yaml` of
github.com/kserve/open-inference-protocol, as published at commit 011728e. Where the two differ, both are requested.
"""

from __future__ import annotations

from typing import Any

_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {
            "enum": [
                "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
                "FP16", "FP32", "FP64", "BYTES",
            ]
        },
        "shape": {"type": "array", "items": {"type": "integer"}},
    },
}  # fmt: skip
_DATA: dict[str, Any] = {"type": "array", "items": {"type": ["array", "number", "string", "boolean"]}}

SERVER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "version", "extensions"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    },
}
HEALTH: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "boolean"}}
MODEL_READY: dict[str, Any] = {
    "type": "object",
    "required": ["name", "ready"],
    "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
}
MODEL: dict[str, Any] = {
    "type": "object",
    "required": ["name", "platform", "inputs", "outputs"],
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
INFERENCE: dict[str, Any] = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "outputs": {
            "type": "array",
            "items": {
                **_TENSOR,
                "required": ["name", "shape", "datatype", "data"],
                "properties": {**_TENSOR["properties"], "data": _DATA, "parameters": {"type": "object"}},
            },
        },
    },
}
_DURATION: dict[str, Any] = {
    "type": "object",
    "required": ["count", "ns"],
    "properties": {"count": {"type": "integer"}, "ns": {"type": "integer"}},
}
_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
STATISTICS: dict[str, Any] = {
    "type": "object",
    "required": ["model_stats"],
    "properties": {
        "model_stats": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    "name",
                    "last_inference",
                    "inference_count",
                    "execution_count",
                    "inference_stats",
                    "batch_stats",
                ],
                "properties": {
                    "name": {"type": "string"},
                    "version": {"type": "string"},
                    **{name: {"type": "integer"} for name in ("last_inference", "inference_count", "execution_count")},
                    "inference_stats": {
                        "type": "object",
                        "required": list(_DURATIONS),
                        "properties": dict.fromkeys(_DURATIONS, _DURATION),
                    },
                    "batch_stats": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["batch_size", "compute_input", "compute_infer", "compute_output"],
                            "properties": {
                                "batch_size": {"type": "integer"},
                                **dict.fromkeys(("compute_input", "compute_infer", "compute_output"), _DURATION),
                            },
                        },
                    },
                },
            },
        }
    },
}
"""After docs/protocol/extension_statistics.md of github.com/triton-inference-server/server."""

ERROR: dict[str, Any] = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
