"""What speaks for a class in a network's last feature maps, or along its attention."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from distingo.errors import ModelError
from distingo.explanation.attention import attention_layers, attention_relevance
from distingo.explanation.grids import as_grid
from distingo.explanation.records import Method
from distingo.models.pretrained import PretrainedClassifier


def find_heat(network: nn.Module, images: Tensor, classes: Tensor, *, several: bool) -> tuple[Tensor, Method]:
    """Heat maps of a batch, one class for each picture.

    In convolutional networks, and whatever else ends in maps, each map is weighted by its gradient position by
    position and only what speaks for the class is kept (HiResCAM: Draelos and Carin, Use HiResCAM instead of Grad-CAM
    for faithful explanations, 2020). Behind average pooling these are the numbers of Grad-CAM (Selvaraju et al.,
    2017); in front of dense layers, Grad-CAM's mean gradients would point to places that the network did not use.
    Transformers whose layers all attend among the same patches: `distingo.explanation.attention`.

    Args:
        network: Of a saved model: ``normalisation`` and ``network``, in evaluation mode.
        images: Float (n, channels, height, width) in [0, 1].
        classes: int64 (n,).
        several: Whether each logit stands for itself.

    Returns:
        Float32 (n, rows, columns), not negative; and the method. A picture's zeros everywhere mean that nothing speaks
        for the class, NaN that the method can't tell: the gradient is zero.

    Raises:
        ModelError: A backbone's last layer gives no map over the picture.
    """
    with torch.enable_grad():
        classifier = network.get_submodule("network")
        normalised = network.get_submodule("normalisation")(images)
        if not isinstance(classifier, PretrainedClassifier):
            return _from_own_maps(classifier, normalised, classes, several=several), "maps"
        if attention_layers(classifier.backbone):
            found = attention_relevance(
                classifier, normalised, lambda logits: margins(logits, classes, several=several)
            )
            if found is not None:
                return found, "attention"
        return _from_backbone_maps(classifier, normalised, classes, several=several), "maps"


def margins(logits: Tensor, classes: Tensor, *, several: bool) -> Tensor:
    """The log odds of each picture's class, float (n,): against all other classes, or of an independent label."""
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
        raise ModelError(f"{type(backbone).__name__}: its last layer gives several maps")
    maps = maps.detach().requires_grad_()
    logits = classifier.head(backbone.forward_head(maps).float())
    (gradient,) = torch.autograd.grad(margins(logits, classes, several=several).sum(), maps, materialize_grads=True)
    return _weigh(as_grid(gradient, backbone), as_grid(maps, backbone))


def _from_own_maps(classifier: nn.Module, images: Tensor, classes: Tensor, *, several: bool) -> Tensor:
    last = getattr(classifier, "body", None) or classifier.get_submodule("features")
    kept: list[Tensor] = []

    def cut(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    hook = last.register_forward_hook(cut)
    try:
        logits = classifier(images)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(margins(logits, classes, several=several).sum(), kept[0])
    return _weigh(gradient.movedim(1, -1), kept[0].movedim(1, -1))


def _weigh(gradient: Tensor, maps: Tensor) -> Tensor:
    """Gradient times maps (n, rows, columns, channels), summed where positive; NaN for pictures without gradient."""
    heat = (gradient * maps).detach().float().sum(-1).relu()
    untold = gradient.flatten(1).abs().amax(1) == 0
    return torch.where(untold[:, None, None], torch.nan, heat)
