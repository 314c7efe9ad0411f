"""Relevance of a transformer's patches for a class, along its attention layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from distingo.explanation.grids import prefix_tokens, token_grid
from distingo.models.pretrained import PretrainedClassifier


def attention_layers(backbone: nn.Module) -> list[nn.Module]:
    """Those layers of a backbone of timm's that can be told to keep their attention, not to fuse it away."""
    return [
        layer
        for layer in backbone.modules()
        if hasattr(layer, "fused_attn") and isinstance(getattr(layer, "attn_drop", None), nn.Module)
    ]


def attention_relevance(
    classifier: PretrainedClassifier, images: Tensor, score: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """Follow what speaks for a class from the pooled output back to the patches.

    Each layer mixes tokens by its attention where that has a positive gradient: R <- R + mean over heads of
    (gradient * attention)+ @ R, beginning with the identity (Chefer, Gur and Wolf, Generic attention-model
    explainability, ICCV 2021). The result is read where the classifier reads: at the class token, or at the patches in
    proportion to what each of them adds to the score.

    Args:
        classifier: With a backbone of timm's.
        images: Normalised float (n, 3, height, width).
        score: From logits (n, classes) to what is to be explained, (n,).

    Returns:
        Float32 (n, rows, columns), not negative; NaN for pictures without gradient. None where the layers do not all
        attend among one and the same list of patches (windows, pyramids, cross attention).
    """
    backbone = cast(Any, classifier.backbone)
    with _keeping_attention(attention_layers(backbone)) as kept:
        tokens = backbone.forward_features(images.detach().requires_grad_())
        logits = classifier.head(backbone.forward_head(tokens).float())
    if not _are_one_list(kept, tokens):
        return None
    gradients = torch.autograd.grad(score(logits).sum(), [tokens, *kept], materialize_grads=True)
    with torch.no_grad():
        return _follow(backbone, tokens, gradients[0], kept, gradients[1:])


def _follow(
    backbone: nn.Module, tokens: Tensor, of_tokens: Tensor, attentions: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Tensor:
    relevance = torch.eye(tokens.shape[1], device=tokens.device).expand(len(tokens), -1, -1)
    for attention, gradient in zip(attentions, gradients, strict=True):
        relevance = relevance + (gradient * attention).float().relu().mean(1) @ relevance
    prefix = prefix_tokens(backbone)
    adds = (of_tokens * tokens).float().sum(-1)
    # what a class token adds may be negative, and still everything the patches say goes through it
    read = torch.cat([adds[:, :prefix].abs(), adds[:, prefix:].relu()], dim=1)
    heat = torch.einsum("nt,nts->ns", read, relevance)[:, prefix:]
    untold = of_tokens.flatten(1).abs().amax(1) == 0
    heat = torch.where(untold[:, None], torch.nan, heat)
    return heat.view(len(heat), *token_grid(backbone, heat.shape[1]))


def _are_one_list(attentions: Sequence[Tensor], tokens: object) -> bool:
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or not attentions:
        return False
    n, number, _ = tokens.shape
    return all(each.ndim == 4 and each.shape[0] == n and each.shape[2:] == (number, number) for each in attentions)


@contextmanager
def _keeping_attention(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Let layers compute their attention step by step, and keep it: (n, heads, tokens, tokens) each."""
    kept: list[Tensor] = []
    were_fused = [layer.fused_attn for layer in layers]

    def keep(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)

    hooks = [layer.get_submodule("attn_drop").register_forward_hook(keep) for layer in layers]
    try:
        for layer in layers:
            _set_fused(layer, fused=False)
        yield kept
    finally:
        for layer, fused in zip(layers, were_fused, strict=True):
            _set_fused(layer, fused=bool(fused))
        for hook in hooks:
            hook.remove()


def _set_fused(layer: nn.Module, *, fused: bool) -> None:
    vars(layer)["fused_attn"] = fused  # a plain attribute of timm's, which may be typed as final
