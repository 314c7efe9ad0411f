"""How far each parameter of a network lies from its output."""

from __future__ import annotations

from torch import nn

from distingo.models.pretrained import PretrainedClassifier
from distingo.models.timm_import import import_timm


def depth_of_parameters(network: nn.Module) -> dict[str, int]:
    """Depth by parameter name: 0 for a head, 1 for the last block of a pretrained backbone, more towards its stem.

    Blocks are those that timm groups by for layer-wise learning-rate decay (Clark et al., ELECTRA, 2020).

    Args:
        network: Any; of one without a pretrained backbone no parameter is named, as all lie at depth 0.
    """
    depths: dict[str, int] = {}
    for prefix, module in network.named_modules():
        if isinstance(module, PretrainedClassifier):
            backbone: nn.Module = module.backbone
            matcher = getattr(backbone, "group_matcher", None)
            layers = (
                import_timm().models.group_parameters(backbone, matcher(coarse=False), reverse=True) if matcher else {}
            )
            deepest = max(layers.values(), default=0)
            for name, layer in layers.items():
                depths[f"{prefix}.backbone.{name}"] = deepest - layer + 1
    return depths
