"""Relevance of the parts of an image for a class, from the feature maps or attention layers of a network.

The module also extracts a network's feature maps and first filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from distingo.errors import ModelError
from distingo.explanation.records import LayerMaps, Method
from distingo.models.heads import PretrainedClassifier


def as_grid(maps: Tensor, backbone: nn.Module, channels: int | None = None) -> Tensor:
    """Convert a layer's output to the layout (n, rows, columns, channels).

    Args:
        maps: Float (n, channels, rows, columns), (n, rows, columns, channels) or tokens (n, tokens, channels), with
            prefix tokens first.
        backbone: The timm backbone of the layer.
        channels: Number of channels of the output; None is the backbone's ``num_features``.

    Raises:
        ModelError: The output has no spatial layout.
    """
    if maps.ndim == 4:
        channels = channels or int(getattr(backbone, "num_features", 0))
        last = maps.shape[1] != channels and maps.shape[-1] == channels
        return maps if last else maps.movedim(1, -1)
    if maps.ndim == 3:
        prefix = prefix_tokens(backbone)
        rows, columns = token_grid(backbone, maps.shape[1] - prefix)
        return maps[:, prefix:].reshape(len(maps), rows, columns, -1)
    raise ModelError(f"{type(backbone).__name__}: its layers give no maps over the picture", code="cannot_explain")


def prefix_tokens(backbone: nn.Module) -> int:
    """Number of tokens (class, distillation, registers) before the patch tokens."""
    return int(getattr(backbone, "num_prefix_tokens", 0))


def token_grid(backbone: nn.Module, tokens: int) -> tuple[int, int]:
    """Rows and columns of a grid of patch tokens.

    Raises:
        ModelError: The tokens form no grid.
    """
    size = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
    if size is not None and len(size) == 2 and size[0] * size[1] == tokens:
        return int(size[0]), int(size[1])
    side = math.isqrt(max(tokens, 0))
    if side < 1 or side * side != tokens:
        raise ModelError(f"{type(backbone).__name__}: its {tokens} tokens lie in no grid", code="cannot_explain")
    return side, side


def attention_layers(backbone: nn.Module) -> list[nn.Module]:
    """Layers of a timm backbone that can compute their attention without fusing it."""
    return [
        layer
        for layer in backbone.modules()
        if hasattr(layer, "fused_attn") and isinstance(getattr(layer, "attn_drop", None), nn.Module)
    ]


def attention_relevance(
    classifier: PretrainedClassifier, images: Tensor, score: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """Propagate the relevance for a class from the pooled output back to the patches.

    Each layer mixes tokens by its attention where that has a positive gradient: R <- R + mean over heads of
    (gradient * attention)+ @ R, beginning with the identity (Chefer, Gur and Wolf, Generic attention-model
    explainability, ICCV 2021). The result is taken where the classifier takes its input: at the class token, or at the
    patches, weighted by their contributions to the score.

    Args:
        classifier: A classifier with a timm backbone.
        images: Normalized float (n, 3, height, width).
        score: Function from logits (n, classes) to the explained scores (n,).

    Returns:
        Non-negative float32 (n, rows, columns); NaN for images without gradient. None if the layers do not all attend
        to the same list of patches (windows, pyramids, cross attention).
    """
    backbone = cast(Any, classifier.backbone)
    with _record_attention(attention_layers(backbone)) as attentions:
        tokens = backbone.forward_features(images.detach().requires_grad_())
        logits = classifier.head(backbone.forward_head(tokens).float())
    if not _are_one_list(attentions, tokens):
        return None
    gradients = torch.autograd.grad(score(logits).sum(), [tokens, *attentions], materialize_grads=True)
    with torch.no_grad():
        return _follow(backbone, tokens, gradients[0], attentions, gradients[1:])


def _follow(
    backbone: nn.Module, tokens: Tensor, of_tokens: Tensor, attentions: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Tensor:
    relevance = torch.eye(tokens.shape[1], device=tokens.device).expand(len(tokens), -1, -1)
    for attention, gradient in zip(attentions, gradients, strict=True):
        relevance = relevance + (gradient * attention).float().relu().mean(1) @ relevance
    prefix = prefix_tokens(backbone)
    contributions = (of_tokens * tokens).float().sum(-1)
    # the contribution of a class token may be negative, but all information from the patches passes through it
    weights = torch.cat([contributions[:, :prefix].abs(), contributions[:, prefix:].relu()], dim=1)
    heat = torch.einsum("nt,nts->ns", weights, relevance)[:, prefix:]
    without_gradient = of_tokens.flatten(1).abs().amax(1) == 0
    heat = torch.where(without_gradient[:, None], torch.nan, heat)
    return heat.view(len(heat), *token_grid(backbone, heat.shape[1]))


def _are_one_list(attentions: Sequence[Tensor], tokens: object) -> bool:
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or not attentions:
        return False
    n, number, _ = tokens.shape
    return all(each.ndim == 4 and each.shape[0] == n and each.shape[2:] == (number, number) for each in attentions)


@contextmanager
def _record_attention(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Disable fused attention, and record the attention of each layer: (n, heads, tokens, tokens)."""
    attentions: list[Tensor] = []
    were_fused = [layer.fused_attn for layer in layers]

    def record(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        attentions.append(output)

    hooks = [layer.get_submodule("attn_drop").register_forward_hook(record) for layer in layers]
    try:
        for layer in layers:
            _set_fused(layer, fused=False)
        yield attentions
    finally:
        for layer, fused in zip(layers, were_fused, strict=True):
            _set_fused(layer, fused=bool(fused))
        for hook in hooks:
            hook.remove()


def _set_fused(layer: nn.Module, *, fused: bool) -> None:
    vars(layer)["fused_attn"] = fused  # a plain attribute of timm's, which may be typed as final


def find_heat(network: nn.Module, images: Tensor, classes: Tensor, *, several: bool) -> tuple[Tensor, Method]:
    """Compute heat maps of a batch, one class per image.

    For convolutional and other networks that end in feature maps, the maps are multiplied by their gradients, and the
    positive part of the sum is kept (HiResCAM: Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful
    explanations, 2020). Followed by average pooling, this equals Grad-CAM (Selvaraju et al., 2017); followed by dense
    layers, the mean gradients of Grad-CAM would highlight areas that the network did not use. For transformers whose
    layers all attend to the same patches, see `attention_relevance`.

    Args:
        network: The network of a saved model, in evaluation mode.
        images: Float (n, channels, height, width) in [0, 1].
        classes: int64 (n,).
        several: Whether the task is multi-label.

    Returns:
        Non-negative float32 (n, rows, columns), and the method. All zeros mean no evidence for the class; NaN means
        that the gradient is zero and the method not applicable.

    Raises:
        ModelError: The last layer of a backbone has no map over the image.
    """
    with torch.enable_grad():
        classifier = network.get_submodule("network")
        normalized = network.get_submodule("normalisation")(images)
        if not isinstance(classifier, PretrainedClassifier):
            return _from_own_maps(classifier, normalized, classes, several=several), "maps"
        if attention_layers(classifier.backbone):
            relevance = attention_relevance(
                classifier, normalized, lambda logits: margins(logits, classes, several=several)
            )
            if relevance is not None:
                return relevance, "attention"
        return _from_backbone_maps(classifier, normalized, classes, several=several), "maps"


def margins(logits: Tensor, classes: Tensor, *, several: bool) -> Tensor:
    """Log odds of each image's class, float (n,): against all other classes, or of an independent label."""
    own = logits.gather(1, classes[:, None])[:, 0]
    if several or logits.shape[1] == 1:
        return own
    others = torch.zeros_like(logits).scatter(1, classes[:, None], float("-inf"))
    return own - torch.logsumexp(logits + others, dim=1)


def _from_backbone_maps(classifier: PretrainedClassifier, images: Tensor, classes: Tensor, *, several: bool) -> Tensor:
    backbone = cast(Any, classifier.backbone)
    with torch.no_grad():
        maps = backbone.forward_features(images)
    if not isinstance(maps, Tensor):
        raise ModelError(f"{type(backbone).__name__}: its last layer gives several maps", code="cannot_explain")
    maps = maps.detach().requires_grad_()
    logits = classifier.head(backbone.forward_head(maps).float())
    (gradient,) = torch.autograd.grad(margins(logits, classes, several=several).sum(), maps, materialize_grads=True)
    return _weigh(as_grid(gradient, backbone), as_grid(maps, backbone))


def _from_own_maps(classifier: nn.Module, images: Tensor, classes: Tensor, *, several: bool) -> Tensor:
    last = getattr(classifier, "body", None) or classifier.get_submodule("features")
    maps: list[Tensor] = []

    def cut(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        maps.append(output.detach().requires_grad_())
        return maps[0]

    hook = last.register_forward_hook(cut)
    try:
        logits = classifier(images)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(margins(logits, classes, several=several).sum(), maps[0])
    return _weigh(gradient.movedim(1, -1), maps[0].movedim(1, -1))


def _weigh(gradient: Tensor, maps: Tensor) -> Tensor:
    """Gradient times maps (n, rows, columns, channels), summed where positive; NaN for images without gradient."""
    heat = (gradient * maps).detach().float().sum(-1).relu()
    without_gradient = gradient.flatten(1).abs().amax(1) == 0
    return torch.where(without_gradient[:, None, None], torch.nan, heat)


MAX_LAYERS = 6

MAX_MAPS = 16

MAX_FILTERS = 64


def first_filters(network: nn.Module) -> tuple[str, np.ndarray]:
    """Extract the filters of a network's first convolution, which is the patch embedding of a transformer.

    Args:
        network: The network of a saved model.

    Returns:
        The layer's name and at most `MAX_FILTERS` filters, float32 (filters, rows, columns, channels), by descending
        norm. An empty name and no filters if there is no convolution over 1 or 3 channels.
    """
    for name, layer in network.get_submodule("network").named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels in {1, 3} and layer.groups == 1:
            filters = layer.weight.detach().float().cpu().permute(0, 2, 3, 1).numpy()
            lengths = np.sqrt((filters**2).sum(axis=(1, 2, 3)))
            return name, filters[np.argsort(-lengths, kind="stable")[:MAX_FILTERS]]
    return "", np.zeros((0, 1, 1, 1), np.float32)


@torch.inference_mode()
def feature_maps(network: nn.Module, images: Tensor) -> tuple[LayerMaps, ...]:
    """Compute the feature maps of a network's stages for an image.

    Args:
        network: The network of a saved model, in evaluation mode.
        images: Float (1, channels, height, width) in [0, 1].

    Returns:
        At most `MAX_LAYERS` evenly spaced layers, including the first and the last.
    """
    classifier = network.get_submodule("network")
    trunk = classifier.backbone if isinstance(classifier, PretrainedClassifier) else classifier
    stages = _spread(_stages(trunk), MAX_LAYERS)
    with _record_outputs(trunk, [name for name, _ in stages]) as outputs:
        network(images)
    layers = []
    for name, channels in stages:
        try:
            grid = as_grid(outputs[name], trunk, channels)[0]
        except (KeyError, ModelError):  # not passed as a module, or no map
            continue
        layers.append(_choose_maps(name, grid.permute(2, 0, 1).float().cpu().numpy()))
    return tuple(layers)


def _stages(trunk: nn.Module) -> list[tuple[str, int | None]]:
    """Names of the layers to display, in order, with their number of channels if it is known."""
    information = getattr(trunk, "feature_info", None)
    if information:
        listed = [(str(entry["module"]), int(entry["num_chs"])) for entry in information]
        modules = dict(trunk.named_modules())
        return [(name, channels) for name, channels in listed if name in modules]
    parts = [(part, layers) for part, layers in trunk.named_children() if part in {"stem", "body", "features"}]
    return [(f"{part}.{name}", None) for part, layers in parts for name, _ in layers.named_children()]


def _spread(stages: list[tuple[str, int | None]], limit: int) -> list[tuple[str, int | None]]:
    if len(stages) <= limit:
        return stages
    return [stages[round(position)] for position in np.linspace(0, len(stages) - 1, limit)]


@contextmanager
def _record_outputs(trunk: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}

    def record(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            outputs[name] = output.clone()  # the next layer may work in place

    hooks = [
        trunk.get_submodule(name).register_forward_hook(lambda _layer, _inputs, output, name=name: record(name, output))
        for name in names
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _choose_maps(name: str, maps: np.ndarray) -> LayerMaps:
    varying = maps.std(axis=(1, 2))
    shown = np.argsort(-varying, kind="stable")[:MAX_MAPS]
    return LayerMaps(name, len(maps), tuple(map(int, shown)), maps[shown])
