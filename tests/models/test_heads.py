from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from distingo.errors import UsageError
from distingo.models.description import ModelDescription
from distingo.models.heads import (
    HEADS,
    LinearHead,
    NeighborHead,
    PrototypeHead,
    build_head,
    center_and_normalize,
    find_neighbors,
    last_layer,
    record_features,
)
from distingo.models.saved import assemble_network
from distingo.records import ImageSpec
from raising import raises

KNN = {"task": "single-label", "bank": 12, "neighbors": 3, "temperature": 0.1}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_every_head_gives_finite_float32_logits_and_fits_its_own_state(kind: str, task: str) -> None:
    head = build_head(kind, 6, 4, {**KNN, "task": task})
    logits = head(torch.randn(5, 6))
    assert logits.shape == (5, 4)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    build_head(kind, 6, 4, {**KNN, "task": task}).load_state_dict(head.state_dict())
    assert head(torch.zeros(0, 6)).shape == (0, 4)


@pytest.mark.parametrize("kind", HEADS)
def test_heads_compute_in_float32_under_autocast(kind: str) -> None:
    head = build_head(kind, 6, 4, KNN)
    for name, tensor in head.state_dict().items():
        if tensor.is_floating_point() and name != "prior":
            tensor.copy_(torch.randn(tensor.shape))
    embeddings = torch.randn(5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(embeddings), head(embeddings.float()))
        under_autocast = head(embeddings)
    assert torch.equal(under_autocast, head(embeddings))


def test_a_name_that_no_head_has_is_answered_with_the_nearest() -> None:
    with raises(UsageError, code="unknown_name", parameter="head"):
        build_head("lineer", 6, 4, {})


def test_a_missing_setting_and_an_impossible_one_are_refused() -> None:
    with pytest.raises(KeyError, match="bank"):
        build_head("knn", 6, 4, {"task": "single-label"})
    with pytest.raises(ValueError, match="13 neighbors of 12 pictures"):
        build_head("knn", 6, 4, {**KNN, "neighbors": 13})
    with pytest.raises(ValueError, match="temperature 0"):
        build_head("knn", 6, 4, {**KNN, "temperature": 0.0})


def test_a_linear_head_trains_on_with_its_backbone() -> None:
    network = nn.Sequential(nn.Linear(3, 6), LinearHead(6, 2))
    network(torch.randn(4, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_prototype_s_logit_is_its_scaled_cosine() -> None:
    head = PrototypeHead(3, 2)
    head.prototypes.copy_(torch.eye(3)[:2])
    head.scale.fill_(7.0)
    logits = head(torch.tensor([[2.0, 0.0, 0.0], [0.0, -0.5, 0.0], [3.0, 3.0, 0.0]]))
    root = 7 / np.sqrt(2)
    np.testing.assert_allclose(logits.numpy(), [[7, 0], [0, -7], [root, root]], atol=1e-5)


def test_centring_takes_the_common_direction_away() -> None:
    embeddings = torch.randn(50, 4) + 10
    center = nn.functional.normalize(embeddings).mean(dim=0)
    directions = center_and_normalize(embeddings, center)
    np.testing.assert_allclose(directions.norm(dim=1).numpy(), 1, atol=1e-5)
    assert directions.mean(dim=0).norm() < 0.2


def neighbor_head(k: int, temperature: float, *, several: bool = False) -> NeighborHead:
    generator = torch.Generator().manual_seed(0)
    head = NeighborHead(5, 3, bank=40, neighbors=k, temperature=temperature, several=several)
    head.bank.copy_(nn.functional.normalize(torch.randn(40, 5, generator=generator)))
    head.targets.copy_(torch.randint(0, 2 if several else 3, head.targets.shape, generator=generator))
    return head


def test_neighbors_vote_as_scikit_learns() -> None:
    head = neighbor_head(7, 0.2)
    embeddings = torch.randn(30, 5, generator=torch.Generator().manual_seed(1))

    def weigh(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / 0.2)

    expected = KNeighborsClassifier(7, weights=weigh, metric="cosine").fit(head.bank.numpy(), head.targets.numpy())
    smoothed = (expected.predict_proba(embeddings.numpy()) + 1 / 7 / 3) / (1 + 1 / 7)
    np.testing.assert_allclose(torch.softmax(head(embeddings), 1).numpy(), smoothed, atol=1e-5)


def test_neighbors_of_several_labels_give_each_label_s_share() -> None:
    head = neighbor_head(4, 1e6, several=True)  # so hot that all neighbors count alike
    head.prior.fill_(0.25)
    embeddings = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    _, nearest = find_neighbors(nn.functional.normalize(embeddings), head.bank, 4)
    counts = head.targets[nearest].float().sum(dim=1)
    np.testing.assert_allclose(torch.sigmoid(head(embeddings)), (counts + 0.25) / 5, atol=1e-5)


def test_neighbors_are_found_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    directions, bank = torch.randn(23, 8), torch.randn(50, 8)
    at_once = find_neighbors(directions, bank, 5)
    monkeypatch.setattr("distingo.models.heads._SIMILARITIES_AT_ONCE", 200)
    in_blocks = find_neighbors(directions, bank, 5)
    assert torch.equal(at_once[1], in_blocks[1])
    torch.testing.assert_close(at_once[0], in_blocks[0])


@pytest.mark.parametrize(
    ("name", "features"), [("small-cnn", 128), ("fashion-cnn", 128), ("sports-cnn", 128), ("poster-cnn", 64)]
)
def test_features_are_what_the_last_layer_decides_by(name: str, features: int) -> None:
    described = ModelDescription(name, "network", "single-label", ("a", "b", "c"), ImageSpec(32, 32, 3))
    network = assemble_network(described).eval()
    with torch.no_grad(), record_features(network) as seen:
        logits = network(torch.rand(2, 3, 32, 32))
    (found,) = seen
    assert found.shape == (2, features)
    assert torch.equal(last_layer(network)(found), logits)
    network(torch.rand(2, 3, 32, 32))
    assert len(seen) == 1


def test_a_network_without_a_dense_layer_is_refused() -> None:
    network = nn.Sequential()
    network.add_module("network", nn.Conv2d(3, 2, 1))
    with pytest.raises(TypeError, match="no dense layer"):
        last_layer(network)
