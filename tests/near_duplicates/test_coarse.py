import numpy as np
import pytest

from distingo.near_duplicates.coarse import describe, nearest_pairs
from distingo.near_duplicates.signatures import SYMMETRIES, transform_frequencies


def descriptions(count, seed):
    values = np.random.default_rng(seed).normal(size=(count, 8, 8)).astype(np.float32)
    values[:, 0, 0] = 0
    return values / np.linalg.norm(values, axis=(1, 2), keepdims=True)


def by_brute_force(queries, references, own, count, min_cosine):
    """The same without any cleverness: every symmetry of every image against every other."""
    ways = [transform_frequencies(queries, symmetry).reshape(len(queries), -1) for symmetry in SYMMETRIES]
    best = np.max([way @ references.reshape(len(references), -1).T for way in ways], axis=0)
    best[np.arange(len(queries)), own] = -1
    pairs = set()
    for row in range(len(queries)):
        pairs |= {(row, int(at)) for at in np.argsort(-best[row])[:count] if best[row, at] > min_cosine}
    for column in range(len(references)):
        pairs |= {(int(at), column) for at in np.argsort(-best[:, column])[:count] if best[at, column] > min_cosine}
    return sorted({tuple(sorted((int(own[row]), column))) for row, column in pairs})


@pytest.mark.parametrize(("count", "min_cosine"), [(1, -1.0), (3, 0.5), (6, 0.45)])
def test_the_nearest_under_any_symmetry_are_found(count, min_cosine):
    queries, references = descriptions(1100, 0), descriptions(1100, 1)
    own = np.arange(1100)
    pairs = nearest_pairs(queries, references, own, count=count, min_cosine=min_cosine, workers=2)
    assert [tuple(pair) for pair in pairs.tolist()] == by_brute_force(queries, references, own, count, min_cosine)


def test_some_images_can_be_queries_among_all():
    references = descriptions(600, 2)
    own = np.array([3, 10, 599])
    pairs = nearest_pairs(references[own], references, own, count=2, min_cosine=0.3, workers=1)
    assert [tuple(pair) for pair in pairs.tolist()] == by_brute_force(references[own], references, own, 2, 0.3)
    assert not any(first == second for first, second in pairs.tolist())


def test_the_number_of_threads_changes_nothing():
    references = descriptions(1500, 3)
    found = [
        nearest_pairs(references, references, np.arange(1500), count=3, min_cosine=0.4, workers=each) for each in (1, 3)
    ]
    assert np.array_equal(*found)


def test_none_are_found_among_none():
    none = descriptions(0, 0)
    assert nearest_pairs(none, none, np.arange(0), count=3, min_cosine=0.5, workers=1).shape == (0, 2)


def test_descriptions_have_length_one_and_no_mean():
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64)).astype(np.uint8)
    described = describe(images)
    for each in (described.whole, described.middle):
        assert each.shape == (5, 8, 8)
        assert np.linalg.norm(each, axis=(1, 2)) == pytest.approx(1, abs=1e-5)
        assert (each[:, 0, 0] == 0).all()
    brighter = describe(images // 2 + 60)
    assert np.einsum("nij,nij->n", described.whole, brighter.whole) == pytest.approx(1, abs=1e-3)


def test_a_crop_is_more_like_the_middle_than_like_the_whole():
    generator = np.random.default_rng(1)
    from PIL import Image

    from distingo.near_duplicates.signatures import sign

    blurred = Image.fromarray(generator.integers(0, 256, (12, 12)).astype(np.uint8)).resize((200, 200))
    crop = blurred.crop((10, 10, 190, 190))
    described = describe(np.stack([sign(blurred), sign(crop)]))
    whole = float((described.whole[0] * described.whole[1]).sum())
    middle = float((described.middle[0] * described.whole[1]).sum())
    assert middle > whole
