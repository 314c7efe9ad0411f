"""Catalog of well-known data sets: URLs, files with checksums, layouts, licenses and citations.

Handwritten digits come with scikit-learn and need no download.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from distingo.errors import ResourceError, UsageError, suggest_names

SetLayout = Literal["idx", "cifar", "folders", "flowers", "pets"]
"""Layouts of published files; see `distingo.download.named`."""


@dataclass(frozen=True, slots=True)
class SetFile:
    """One file of a set.

    Attributes:
        name: Path relative to the set's address.
        checksum: ``md5:...`` or ``sha256:...`` as published.
        size: Size in bytes; None if unknown.
    """

    name: str
    checksum: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A well-known set.

    Attributes:
        name: Name on the command line.
        title: Description in one line.
        home: URL of the page that describes it.
        address: Base URL of its files, which ends in ``/``.
        served_by: Who serves the files there.
        files: The files to download.
        layout: Layout of the files.
        images: Number of images by split (``train``, ``val``, ``test``), or by ``""`` if the set has no splits.
        license: The license that its authors state, or that they state none.
        citation: The publication to cite.
        checksums_from: Who published the checksums.
        classes: Class names in the order of the numbers in the files, if these contain numbers.
        renamed: Class names by the names in the files, if they differ.
        class_folders: For ``folders``: the path of the class folders in the archive, by split.
        bytes: Approximate size of the download in bytes.
    """

    name: str
    title: str
    home: str
    address: str
    served_by: str
    files: tuple[SetFile, ...]
    layout: SetLayout
    images: dict[str, int]
    license: str
    citation: str
    checksums_from: str
    bytes: int
    classes: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    class_folders: dict[str, str] = field(default_factory=dict)


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(", "))


_MNIST = NamedSet(
    name="mnist",
    title="70,000 gray images of handwritten digits, 28x28, 10 classes",
    home="http://yann.lecun.com/exdb/mnist/",
    address="https://ossci-datasets.s3.amazonaws.com/mnist/",
    served_by="Amazon S3; the copy that torchvision fetches first",
    files=(
        SetFile("train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        SetFile("train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        SetFile("t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        SetFile("t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    ),
    layout="idx",
    images={"train": 60_000, "test": 10_000},
    license="the authors' page states none; Keras' documentation states CC BY-SA 3.0 (Yann LeCun, Corinna Cortes)",
    citation=(
        "Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner: Gradient-Based Learning Applied to Document "
        "Recognition. Proceedings of the IEEE 86(11), 1998."
    ),
    checksums_from="torchvision",
    bytes=12_000_000,
    classes=tuple("0123456789"),
)

_FASHION_MNIST = NamedSet(
    name="fashion-mnist",
    title="70,000 gray images of clothing, 28x28, 10 classes",
    home="https://github.com/zalandoresearch/fashion-mnist",
    address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    served_by="the authors",
    files=(
        SetFile("train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
        SetFile("train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe", 29_515),
        SetFile("t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79", 4_422_102),
        SetFile("t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310", 5_148),
    ),
    layout="idx",
    images={"train": 60_000, "test": 10_000},
    license="MIT, Copyright (c) 2017 Zalando SE",
    citation=(
        "Han Xiao, Kashif Rasul, Roland Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
        "Learning Algorithms. arXiv:1708.07747, 2017."
    ),
    checksums_from="the authors, in the README of their repository",
    bytes=31_000_000,
    classes=_names("T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"),
)

_CIFAR10 = NamedSet(
    name="cifar10",
    title="60,000 photos, 32x32, 10 classes",
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    address="https://www.cs.toronto.edu/~kriz/",
    served_by="the authors",
    files=(SetFile("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    layout="cifar",
    images={"train": 50_000, "test": 10_000},
    license="the authors' page states none",
    citation="Alex Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, 2009.",
    checksums_from="the authors, on the set's page",
    bytes=170_000_000,
)

_CIFAR100 = replace(
    _CIFAR10,
    name="cifar100",
    title="60,000 photos, 32x32, 100 classes",
    files=(SetFile("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),),
    bytes=169_000_000,
)

_EUROSAT = NamedSet(
    name="eurosat",
    title="27,000 satellite images of land use in Europe, RGB, 64x64, 10 classes",
    home="https://github.com/phelber/EuroSAT",
    address="https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/",
    served_by="Hugging Face; the copy that torchvision fetches",
    files=(SetFile("EuroSAT.zip", "md5:c8fa014336c82ac7804f0398fcb19387"),),
    layout="folders",
    images={"": 27_000},
    license="MIT; contains modified Copernicus Sentinel data",
    citation=(
        "Patrick Helber, Benjamin Bischke, Andreas Dengel, Damian Borth: EuroSAT: A Novel Dataset and Deep Learning "
        "Benchmark for Land Use and Land Cover Classification. IEEE Journal of Selected Topics in Applied Earth "
        "Observations and Remote Sensing 12(7), 2019."
    ),
    checksums_from="torchvision",
    bytes=95_000_000,
    class_folders={"": "2750"},
)

_FLOWERS = """
pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon orchid,
bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle, yellow iris,
globe-flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire lily, pincushion flower,
fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers, stemless gentian, artichoke, sweet
william, carnation, garden phlox, love in the mist, mexican aster, alpine sea holly, ruby-lipped cattleya, cape
flower, great masterwort, siam tulip, lenten rose, barbeton daisy, daffodil, sword lily, poinsettia, bolero deep
blue, wallflower, marigold, buttercup, oxeye daisy, common dandelion, petunia, wild pansy, primula, sunflower,
pelargonium, bishop of llandaff, gaura, geranium, orange dahlia, pink-yellow dahlia?, cautleya spicata, japanese
anemone, black-eyed susan, silverbush, californian poppy, osteospermum, spring crocus, bearded iris, windflower,
tree poppy, gazania, azalea, water lily, rose, thorn apple, morning glory, passion flower, lotus, toad lily,
anthurium, frangipani, clematis, hibiscus, columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress,
canna lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea, camellia, mallow, mexican petunia, bromelia,
blanket flower, trumpet creeper, blackberry lily
"""

_FLOWERS102 = NamedSet(
    name="flowers102",
    title="8,189 photos of flowers common in Britain, 102 classes",
    home="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    address="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    served_by="the authors",
    files=(
        SetFile("102flowers.tgz", "md5:52808999861908f626f3c1f4e79d11fa"),
        SetFile("imagelabels.mat", "md5:e0620be6f572b9609742df49c70aed4d"),
        SetFile("setid.mat", "md5:a5357ecc9cb78c4bef273ce3793fc85c"),
    ),
    layout="flowers",
    images={"train": 1_020, "val": 1_020, "test": 6_149},
    license="the authors' page states none",
    citation=(
        "Maria-Elena Nilsback, Andrew Zisserman: Automated Flower Classification over a Large Number of Classes. "
        "Indian Conference on Computer Vision, Graphics and Image Processing, 2008."
    ),
    checksums_from="torchvision",
    bytes=345_000_000,
    classes=_names(_FLOWERS),
)

_OXFORD_PETS = NamedSet(
    name="oxford-pets",
    title="7,349 photos of cats and dogs, 37 breeds",
    home="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    address="https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    served_by="the authors",
    files=(
        SetFile("images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
        SetFile("annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
    ),
    layout="pets",
    images={"train": 3_680, "test": 3_669},
    license="CC BY-SA 4.0",
    citation=(
        "Omkar M. Parkhi, Andrea Vedaldi, Andrew Zisserman, C. V. Jawahar: Cats and Dogs. IEEE Conference on Computer "
        "Vision and Pattern Recognition, 2012."
    ),
    checksums_from="torchvision",
    bytes=811_000_000,
)

_IMAGENETTE = NamedSet(
    name="imagenette",
    title="13,394 photos of ImageNet, full size, 10 classes",
    home="https://github.com/fastai/imagenette",
    address="https://s3.amazonaws.com/fast-ai-imageclas/",
    served_by="the authors",
    files=(SetFile("imagenette2.tgz", "md5:fe2fc210e6bb7c5664d602c3cd71e612"),),
    layout="folders",
    images={"train": 9_469, "val": 3_925},
    license="Apache-2.0 for the collection; the photos are ImageNet's, whose terms of access restrict their use",
    citation="Jeremy Howard: Imagenette. fast.ai, 2019. https://github.com/fastai/imagenette",
    checksums_from="torchvision",
    bytes=1_560_000_000,
    renamed={
        "n01440764": "tench",
        "n02102040": "English springer",
        "n02979186": "cassette player",
        "n03000684": "chain saw",
        "n03028079": "church",
        "n03394916": "French horn",
        "n03417042": "garbage truck",
        "n03425413": "gas pump",
        "n03445777": "golf ball",
        "n03888257": "parachute",
    },
    class_folders={"train": "imagenette2/train", "val": "imagenette2/val"},
)


def _smaller_imagenette(split: int, md5: str, size: int) -> NamedSet:
    archive = f"imagenette2-{split}"
    return replace(
        _IMAGENETTE,
        name=f"imagenette-{split}",
        title=f"13,394 photos of ImageNet, shorter side {split}, 10 classes",
        files=(SetFile(f"{archive}.tgz", f"md5:{md5}"),),
        bytes=size,
        class_folders={"train": f"{archive}/train", "val": f"{archive}/val"},
    )


SETS: dict[str, NamedSet] = {
    each.name: each
    for each in (
        _FASHION_MNIST,
        _MNIST,
        _CIFAR10,
        _CIFAR100,
        _EUROSAT,
        _FLOWERS102,
        _OXFORD_PETS,
        _IMAGENETTE,
        _smaller_imagenette(320, "3df6f0d01a2c9592104656642f5e78a3", 342_000_000),
        _smaller_imagenette(160, "e793b78cc4c9e9a4ccc0c1155377a412", 99_000_000),
    )
}


def find_set(name: str) -> NamedSet:
    """Find a set by its name.

    Raises:
        UsageError: There is no such set; the message suggests similar names.
    """
    if name not in SETS:
        raise UsageError(
            f"no set is called {name!r}; {suggest_names(name, list(SETS))}", code="unknown_name", parameter="name"
        )
    return SETS[name]


_SIZE = 32

_COUNT = 1797


def write_digits(folder: Path) -> int:
    """Write scikit-learn's handwritten digits as gray PNG files in class folders ``0`` to ``9``.

    The 1,797 images of `load_digits` (UCI, "Optical Recognition of Handwritten Digits") have 8x8 pixels; they are
    enlarged to 32x32 to be easier to view. A folder that already holds them is left as it is.

    Args:
        folder: Destination; it is written completely or not at all.

    Returns:
        The number of images.

    Raises:
        UsageError: The folder holds other files.
        ResourceError: The folder can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if folder.is_dir() and len(list(folder.glob("[0-9]/digit-*.png"))) == _COUNT:
            return _COUNT
        raise UsageError(
            f"{folder}: already holds other files; name a new folder for the digits",
            code="not_empty",
            parameter="output",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            finished = Path(temporary) / "digits"
            count = _write_files(finished)
            if folder.exists():
                folder.rmdir()  # empty, as checked above; not every system can rename onto an existing folder
            shutil.move(finished, folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{folder}: the digits can't be written ({reason}); choose another place",
            code="cannot_write",
            parameter="output",
        ) from error
    return count


def _write_files(folder: Path) -> int:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (values, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        gray = np.rint(values * (255.0 / 16.0)).astype(np.uint8)
        path = folder / str(label) / f"digit-{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC).save(path)
    return len(digits.images)
