"""A pretrained backbone with a head of our own on top."""

from __future__ import annotations

from torch import Tensor, nn


class PretrainedClassifier(nn.Module):
    """A backbone's pooled features, and a head from them to logits.

    Args:
        backbone: From float (n, 3, height, width), normalised, to features (n, features).
        head: From features to logits (n, classes); see `distingo.models.heads`.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of normalised float images (n, 3, height, width)."""
        # the head is solved in float32 to convergence: rounding its input to 16 bits would undo that
        features = self.backbone(images).float()
        logits: Tensor = self.head(features)
        return logits
