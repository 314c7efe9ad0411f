"""Prediction with an exported model; requires only numpy, Pillow and ONNX Runtime."""

from distingo.runtime.description import ExportDescription, read_export
from distingo.runtime.runtime import Runtime

__all__ = ["ExportDescription", "Runtime", "read_export"]
