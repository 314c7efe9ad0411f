"""sports-cnn: the reference network that tells two look-alike sports apart, trained from scratch."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from distingo.models.layers import (
    ConvolutionBlock,
    Flatten,
    initialise_like_keras,
    require_input_shape,
    require_probability,
)
from distingo.models.pooled_convolution import Dropout


class SportsCNN(nn.Module):
    """Three 3x3 convolution blocks of 32, 32 and 64 filters, dropout, a dense layer of 128, logits.

    Args:
        classes: How many logits come out.
        height: Of the pictures, in pixels, at least 8.
        width: Of the pictures, in pixels, at least 8.
        channels: 3 for RGB, 1 for grey.
        dropout: Share of the last feature maps' numbers that training drops.

    Raises:
        ModelError: A size, count or dropout that is not possible.
    """

    def __init__(
        self, classes: int, *, height: int = 224, width: int = 224, channels: int = 3, dropout: float = 0.4
    ) -> None:
        super().__init__()
        require_input_shape("sports-cnn", classes, height=height, width=width, channels=channels, halvings=3)
        require_probability("sports-cnn", dropout)
        self.features = nn.Sequential(
            ConvolutionBlock(channels, 32),
            ConvolutionBlock(32, 32),
            ConvolutionBlock(32, 64),
        )
        self.classifier = nn.Sequential(
            Dropout(dropout),
            Flatten(),
            nn.Linear(64 * (height // 8) * (width // 8), 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, classes),
        )
        initialise_like_keras(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, channels, height, width) in [0, 1]."""
        return cast(Tensor, self.classifier(self.features(images)))
