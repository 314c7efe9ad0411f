"""Predict from an exported model: numpy, Pillow and ONNX Runtime are all that it needs."""

from distingo.runtime.description import ExportDescription, read_export
from distingo.runtime.runtime import Runtime

__all__ = ["ExportDescription", "Runtime", "read_export"]
