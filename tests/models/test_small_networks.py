import pytest
import torch
from torch.nn import functional as F

from distingo.errors import ModelError
from distingo.models.layers import Dropout
from distingo.models.small_networks import SmallCNN, stem_halvings
from raising import raises


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(8, 8, 1), (9, 13, 1), (28, 28, 1), (32, 32, 3), (96, 128, 3), (224, 224, 3)],
)
def test_logits_for_sizes_from_8_to_224(height, width, channels):
    model = SmallCNN(7, height=height, width=width, channels=channels)
    logits = model(torch.rand(2, channels, height, width))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("height", "width", "halvings"),
    [(8, 8, 0), (28, 28, 0), (40, 40, 0), (64, 64, 1), (128, 128, 2), (224, 224, 3), (400, 300, 4)],
)
def test_the_stem_halves_until_40_pixels(height, width, halvings):
    assert stem_halvings(height, width) == halvings


@pytest.mark.parametrize(("size", "pooled"), [(8, 8), (16, 8), (28, 7), (40, 10), (128, 8), (224, 7)])
def test_maps_are_halved_while_they_are_large(size, pooled):
    model = SmallCNN(3, height=size, width=size, channels=1).eval()
    assert model.body(model.stem(torch.rand(1, 1, size, size))).shape == (1, 128, pooled, pooled)


@pytest.mark.parametrize(("height", "width"), [(7, 28), (28, 4)])
def test_a_size_that_leaves_nothing_is_refused_with_the_minimum(height, width):
    with raises(ModelError, code="unsupported_image_size"):
        SmallCNN(3, height=height, width=width, channels=1)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_an_impossible_dropout_is_refused(dropout):
    with raises(ModelError, code="out_of_range", parameter="dropout"):
        SmallCNN(3, height=28, width=28, channels=1, dropout=dropout)


def test_no_class_is_refused():
    with raises(ModelError, code="out_of_range"):
        SmallCNN(0, height=28, width=28, channels=1)


def test_every_weight_learns():
    torch.manual_seed(0)
    model = SmallCNN(4, height=64, width=48, channels=3)
    F.cross_entropy(model(torch.rand(8, 3, 64, 48)), torch.arange(8) % 4).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


def test_a_image_is_judged_alike_alone_and_in_company():
    torch.manual_seed(0)
    model = SmallCNN(5, height=28, width=28, channels=1)
    images = torch.rand(6, 1, 28, 28)
    model(images)  # running statistics of something
    model.eval()
    with torch.inference_mode():
        assert torch.allclose(model(images)[2:3], model(images[2:3]), atol=1e-5)


def test_equal_seeds_give_equal_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(SmallCNN(5, height=28, width=28, channels=1).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_dropout_can_be_set():
    model = SmallCNN(5, height=28, width=28, channels=1, dropout=0.7)
    assert [layer.probability for layer in model.modules() if isinstance(layer, Dropout)] == [0.7]
