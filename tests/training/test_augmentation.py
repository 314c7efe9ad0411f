import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from distingo.errors import UsageError
from distingo.training.augmentation import PRESETS, Augmentation, augment, mix
from raising import raises


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(n: int, height: int, width: int, channels: int = 3, seed: int = 5) -> Tensor:
    images = torch.rand(n, channels, height, width, generator=chance(seed))
    return images.contiguous(memory_format=torch.channels_last)


def disk(n: int, height: int, width: int, radius: float) -> Tensor:
    rows = torch.arange(height)[:, None] - (height - 1) / 2
    columns = torch.arange(width)[None, :] - (width - 1) / 2
    return ((rows**2 + columns**2) <= radius**2).float().expand(n, 1, height, width)


def orientations_of(image: np.ndarray) -> list[np.ndarray]:
    return [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 24, 36), (1, 28, 28), (3, 32, 32)])
def test_every_preset_keeps_shape_range_and_memory_and_leaves_its_input(preset, channels, height, width):
    images = random_images(6, height, width, channels)
    before = images.clone()
    result = augment(images, PRESETS[preset], chance())
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert float(result.min()) >= 0
    assert float(result.max()) <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
def test_equal_generators_give_equal_images_and_different_ones_do_not(preset):
    images, targets = random_images(8, 32, 32), torch.eye(8)
    runs = []
    for seed in (1, 1, 2):
        generator = chance(seed)
        augmented = augment(images, PRESETS[preset], generator)
        runs.append((augmented, *mix(augmented, targets, PRESETS[preset], generator), generator.get_state()))
    assert all(torch.equal(first, second) for first, second in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])


def test_none_returns_the_images_and_draws_nothing():
    images, generator = random_images(4, 10, 10), chance()
    state = generator.get_state()
    assert torch.equal(augment(images, PRESETS["none"], generator), images)
    assert torch.equal(generator.get_state(), state)


def test_reference_has_the_published_ranges():
    reference = PRESETS["reference"]
    assert (reference.rotation, reference.zoom) == (30, 0.2)
    assert (reference.horizontal_shift, reference.vertical_shift) == (0.1, 0.1)
    assert reference.horizontal_flip and not reference.vertical_flip


@pytest.mark.parametrize(
    ("options", "allowed"),
    [({"horizontal_flip": True}, [0, 1]), ({"vertical_flip": True}, [0, 2])],
)
@pytest.mark.parametrize("affine", [False, True])
def test_flips_mirror_about_half_of_the_images(options, allowed, affine):
    # a vanishing zoom asks for the affine path without moving anything
    augmentation = Augmentation(**options, zoom=1e-7 if affine else 0.0)
    images = random_images(200, 5, 7)
    flipped = augment(images, augmentation, chance()).permute(0, 2, 3, 1).numpy()
    counts = [0, 0, 0, 0]
    for image, result in zip(images.permute(0, 2, 3, 1).numpy(), flipped, strict=True):
        matches = [np.allclose(result, version, atol=1e-5) for version in orientations_of(image)]
        assert sum(matches) == 1
        counts[matches.index(True)] += 1
    assert all(70 < counts[kind] < 130 for kind in allowed)
    assert sum(counts[kind] for kind in allowed) == 200


@pytest.mark.parametrize("affine", [False, True])
def test_quarter_turns_turn_square_images_all_four_ways(affine):
    augmentation = Augmentation(quarter_turns=True, zoom=1e-7 if affine else 0.0)
    images = random_images(100, 6, 6)
    turned = augment(images, augmentation, chance()).permute(0, 2, 3, 1).numpy()
    counts = [0, 0, 0, 0]
    for image, result in zip(images.permute(0, 2, 3, 1).numpy(), turned, strict=True):
        matches = [np.allclose(result, np.rot90(image, turns), atol=1e-5) for turns in range(4)]
        assert sum(matches) == 1
        counts[matches.index(True)] += 1
    assert min(counts) > 10


@pytest.mark.parametrize("affine", [False, True])
def test_quarter_turns_only_upend_images_that_are_not_square(affine):
    augmentation = Augmentation(quarter_turns=True, zoom=1e-7 if affine else 0.0)
    images = random_images(40, 4, 6)
    turned = augment(images, augmentation, chance()).permute(0, 2, 3, 1).numpy()
    for image, result in zip(images.permute(0, 2, 3, 1).numpy(), turned, strict=True):
        assert any(np.allclose(result, version, atol=1e-5) for version in (image, image[::-1, ::-1]))


@pytest.mark.parametrize(("border", "mode"), [("nearest", "edge"), ("reflection", "symmetric")])
def test_shifts_alone_move_whole_pixels(border, mode):
    augmentation = Augmentation(horizontal_shift=0.2, vertical_shift=0.1, border=border)
    images = random_images(60, 20, 10)
    moved = augment(images, augmentation, chance()).numpy()
    seen = set()
    for image, result in zip(images.numpy(), moved, strict=True):
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode=mode)
        places = [
            (y, x) for y in range(5) for x in range(5) if np.array_equal(result, padded[:, y : y + 20, x : x + 10])
        ]
        assert len(places) == 1
        seen.update(places)
    assert len({y for y, _ in seen}) == len({x for _, x in seen}) == 5


def test_rotation_keeps_a_disk_where_the_image_is_not_square():
    images = disk(20, 30, 60, radius=10)
    rotated = augment(images, Augmentation(rotation=180), chance())
    assert float((rotated - images).abs().mean()) < 0.03  # an ellipse would differ by 0.1


def test_rotation_turns_up_to_its_range():
    # the far end of a bar from the center to the right edge says by how much it turned
    image = torch.zeros(1, 1, 101, 101)
    image[..., 49:52, 50:] = 1
    rotated = augment(image.expand(200, -1, -1, -1), Augmentation(rotation=30), chance())
    rows, columns = torch.meshgrid(torch.arange(101.0) - 50, torch.arange(101.0) - 50, indexing="ij")
    mass = rotated[:, 0]
    angles = torch.rad2deg(torch.atan2((mass * rows).sum((1, 2)), (mass * columns).sum((1, 2))))
    assert -31 < float(angles.min()) < -26
    assert 26 < float(angles.max()) < 31


def test_zoom_scales_the_area_within_its_range():
    images = disk(200, 60, 60, radius=15)
    share = augment(images, Augmentation(zoom=0.2), chance()).sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert 1 / 1.2**2 - 0.05 < float(share.min()) < 0.8
    assert 1.4 < float(share.max()) < 1 / 0.8**2 + 0.1


def test_crop_shows_a_part_of_the_area_and_nothing_beyond_the_edge():
    # two ramps: how much of them remains is the crop's width and height
    across = torch.linspace(0, 1, 80)[None, :].expand(80, 80)
    images = torch.stack([across, across.T])[None].expand(300, -1, -1, -1)
    cropped = augment(images, Augmentation(crop=0.25), chance())
    wide = cropped[:, 0, :, -1].mean(1) - cropped[:, 0, :, 0].mean(1)
    tall = cropped[:, 1, -1, :].mean(1) - cropped[:, 1, 0, :].mean(1)
    assert 0.2 < float((wide * tall).min()) < 0.3
    assert 0.85 < float((wide * tall).max()) < 1.01
    assert 0.7 < float((wide / tall).min()) < float((wide / tall).max()) < 1.4
    steps = cropped[:, 0, 40].diff(dim=1)
    assert float(steps[:, 1:-1].min()) > 0  # a repeated edge would be level


def test_brightness_multiplies():
    images = random_images(100, 6, 6) * 0.5
    ratios = augment(images, Augmentation(brightness=0.4), chance()) / images
    assert torch.allclose(ratios, ratios[:, :1, :1, :1].expand_as(ratios), atol=1e-4)
    assert 0.59 < float(ratios.min()) < 0.7
    assert 1.3 < float(ratios.max()) < 1.41


def test_contrast_keeps_the_mean_gray():
    images = random_images(20, 6, 6) * 0.4 + 0.3
    gray = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    changed = augment(images, Augmentation(contrast=0.4), chance())
    assert torch.allclose((changed * gray).sum(1).mean((1, 2)), (images * gray).sum(1).mean((1, 2)), atol=1e-5)
    ratio = changed.std((1, 2, 3)) / images.std((1, 2, 3))
    assert float(ratio.min()) < 0.8 and float(ratio.max()) > 1.2


def test_saturation_keeps_every_pixels_gray():
    images = random_images(20, 6, 6) * 0.4 + 0.3
    gray = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    changed = augment(images, Augmentation(saturation=0.5), chance())
    assert torch.allclose((changed * gray).sum(1), (images * gray).sum(1), atol=1e-5)
    assert not torch.allclose(changed, images, atol=0.01)


def test_color_changes_a_gray_image_like_its_color_twin():
    gray = random_images(10, 6, 6, channels=1)
    augmentation = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3)
    alone = augment(gray, augmentation, chance())
    as_color = augment(gray.expand(-1, 3, -1, -1), augmentation, chance())
    assert torch.allclose(alone.expand(-1, 3, -1, -1), as_color, atol=1e-4)


def test_erasing_fills_one_box_with_the_mean_color():
    images = random_images(200, 20, 30)
    erased = augment(images, Augmentation(erasing=0.5, erasing_area=0.3), chance())
    changed = (erased != images).all(dim=1)
    shares = changed.float().mean((1, 2))
    assert 70 < int((shares > 0).sum()) < 130
    assert float(shares[shares > 0].min()) > 0.01
    assert 0.2 < float(shares.max()) < 0.33
    for image, result, mask in zip(images, erased, changed, strict=True):
        if mask.any():
            rows, columns = mask.nonzero(as_tuple=True)
            box = result[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert torch.allclose(box, image.mean((1, 2))[:, None, None].expand_as(box), atol=1e-6)


def test_mixup_blends_images_and_targets_alike():
    images, targets = random_images(50, 4, 4), torch.eye(50)
    mixed, shares = mix(images, targets, Augmentation(mix="mixup", mix_alpha=0.8), chance())
    assert torch.allclose(shares.sum(1), torch.ones(50))
    assert torch.allclose(mixed.flatten(1), shares @ images.flatten(1), atol=1e-5)
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    own = shares.diagonal()
    assert float(own.min()) >= 0.5
    assert len(own.unique()) > 30


def test_cutmix_shares_are_the_areas_of_its_boxes():
    values = torch.arange(40) / 40
    images, targets = values[:, None, None, None].expand(40, 3, 20, 20).contiguous(), torch.eye(40)
    mixed, shares = mix(images, targets, Augmentation(mix="cutmix"), chance())
    for result, row in zip(mixed, shares, strict=True):
        for index in range(40):
            area = (result[0] == values[index]).float().mean()
            assert float(row[index]) == pytest.approx(float(area), abs=1e-6)
    assert float(shares.max(dim=1).values.min()) < 0.7


def test_mix_probability_is_the_share_of_images_that_are_mixed():
    images, targets = random_images(400, 4, 4), torch.eye(400)
    augmentation = Augmentation(mix="mixup", mix_probability=0.25)
    mixed, shares = mix(images, targets, augmentation, chance())
    untouched = shares.diagonal() == 1
    assert 260 < int(untouched.sum()) < 340
    assert torch.equal(mixed[untouched], images[untouched])


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_lone_image_is_not_mixed(kind):
    images, targets = random_images(1, 4, 4), torch.ones(1, 1)
    mixed, shares = mix(images, targets, Augmentation(mix=kind), chance())
    assert torch.equal(mixed, images)
    assert torch.equal(shares, targets)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"rotation": 270}, "out_of_range"),
        ({"zoom": 1.0}, "out_of_range"),
        ({"crop": 0.0}, "out_of_range"),
        ({"erasing": 1.5}, "out_of_range"),
        ({"mix_alpha": 0}, "out_of_range"),
        ({"mix": "mixupp"}, "unknown_name"),
        ({"border": "black"}, "unknown_name"),
    ],
)
def test_amounts_that_make_no_image_are_refused(options, code):
    with raises(UsageError, code=code):
        Augmentation(**options)


def test_an_augmentation_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["none"].rotation = 3.0  # type: ignore[misc]
