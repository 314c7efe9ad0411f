"""Resizing and cutting as an ONNX graph, to the numbers of `distingo.datasets.rendering.render`.

ONNX Runtime's Resize with antialias computes bytes as Pillow does, in its fixed-point numbers: of real photographs one
value in a hundred differs, by one, but for the outermost columns. It is as fast as Pillow is.
"""

from __future__ import annotations

from typing import Any

from distingo.exporting.networks import GREY, LONGEST_ASPECT, shorter_side
from distingo.records import Rendition

OPSET = 20
IR_VERSION = 10
"""What ONNX Runtime reads from 1.17 on."""

PIXELS = "pixels"
"""Between preprocessing and network."""

_MODES = {"bilinear": "linear", "bicubic": "cubic"}

_GREY = """
  colours = Cast <to = 1> (pictures)
  luminance = Constant <value = float[3, 1] {{{red}, {green}, {blue}}}> ()
  weighted = MatMul (colours, luminance)
  half = Constant <value = float[1] {{32768}}> ()
  whole = Constant <value = float[1] {{65536}}> ()
  raised = Add (weighted, half)
  scaled = Div (raised, whole)
  floored = Floor (scaled)
  seen = Cast <to = 2> (floored)
"""

_STRETCH = """
  target = Constant <value_ints = [{height}, {width}]> ()
  cut = {resize} (seen, , , target)
"""

_CROP = """
  axes = Constant <value_ints = [1, 2]> ()
  size = Shape <start = 1, end = 3> (seen)
  shortest = ReduceMin <keepdims = 1> (size)
  aspect = Constant <value_ints = [{aspect}]> ()
  longest = Mul (shortest, aspect)
  kept = Min (size, longest)
  dropped = Sub (size, kept)
  two = Constant <value_ints = [2]> ()
  from = Div (dropped, two)
  to = Add (from, kept)
  strip = Slice (seen, from, to, axes)
  shorter = Constant <value_ints = [{shorter}]> ()
  enlarged = Mul (kept, shorter)
  target = Div (enlarged, shortest)
  resized = {resize} (strip, , , target)
  wanted = Constant <value_ints = [{height}, {width}]> ()
  spare = Sub (target, wanted)
  spare_float = Cast <to = 1> (spare)
  one_half = Constant <value_float = 0.5> ()
  margin = Mul (spare_float, one_half)
  rounded = Round (margin)
  first = Cast <to = 7> (rounded)
  last = Add (first, wanted)
  cut = Slice (resized, first, last, axes)
"""

_WHOLE = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
preprocessing (uint8[batch, height, width, 3] {pictures}) => (uint8[batch, {height}, {width}, {channels}] {pixels}) {{
  {colours}{fit}
  form = Constant <value_ints = [-1, {height}, {width}, {channels}]> ()
  {pixels} = Reshape (cut, form)
}}
"""


def preprocessing_graph(rendition: Rendition, pictures: str) -> Any:
    """An `onnx.ModelProto` from pictures of any size, uint8 (n, height, width, 3), to rendered ones.

    Args:
        rendition: One for which `resizes_in_graph` is true.
        pictures: What the input is called; the output is called `PIXELS`.
    """
    from onnx import checker, parser

    resize = (
        f'Resize <antialias = 1, axes = [1, 2], mode = "{_MODES[rendition.interpolation]}", cubic_coeff_a = -0.5, '
        'coordinate_transformation_mode = "half_pixel">'
    )
    sides: dict[str, Any] = {"height": rendition.height, "width": rendition.width, "resize": resize}
    if rendition.fit == "crop":
        fit = _CROP.format(**sides, shorter=shorter_side(rendition), aspect=LONGEST_ASPECT)
    else:
        fit = _STRETCH.format(**sides)
    red, green, blue = (int(weight) for weight in GREY)
    colours = _GREY.format(red=red, green=green, blue=blue) if rendition.channels == 1 else "seen = Identity (pictures)"
    text = _WHOLE.format(
        **sides,
        channels=rendition.channels,
        pictures=pictures,
        pixels=PIXELS,
        colours=colours,
        fit=fit,
        ir=IR_VERSION,
        opset=OPSET,
    )
    model = parser.parse_model(text)
    checker.check_model(model)
    return model
