"""The description of a well-known set.

MNIST: handwritten digits.

Fashion-MNIST: Zalando's articles of clothing.

CIFAR-10 and CIFAR-100: tiny photos, in the binary form, which is read without unpickling anything.

EuroSAT: land use seen by the Sentinel-2 satellites.

Imagenette: ten easily told classes of ImageNet, in three sizes.

The Oxford-IIIT pets: breeds of cats and dogs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SetLayout = Literal["idx", "cifar", "folders", "flowers", "pets"]
"""How a set's files are laid out; see `distingo.download.named`."""


@dataclass(frozen=True, slots=True)
class SetFile:
    """One file of a set.

    Attributes:
        name: Below the set's address.
        checksum: ``md5:...`` or ``sha256:...`` as published.
        size: In bytes, where known; else None.
    """

    name: str
    checksum: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A well-known set, as data.

    Attributes:
        name: As it is typed.
        title: In one line.
        home: The page that describes it.
        address: What its files' names are put after; ends in ``/``.
        served_by: Who serves them there.
        files: All that are fetched.
        layout: How to make class folders of them.
        pictures: How many, by side (``train``, ``val``, ``test``), or by ``""`` where the set has no sides.
        licence: As its authors state it, or that they state none.
        citation: What to cite.
        checksums_from: Who published the checksums.
        classes: Class names where the files hold numbers, in their order.
        renamed: Class names by what the files call them.
        inside: For ``folders``: by side, the folder inside the archive that holds the class folders.
        bytes: About how much is fetched.
    """

    name: str
    title: str
    home: str
    address: str
    served_by: str
    files: tuple[SetFile, ...]
    layout: SetLayout
    pictures: dict[str, int]
    licence: str
    citation: str
    checksums_from: str
    bytes: int
    classes: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)


MNIST = NamedSet(
    name="mnist",
    title="70,000 grey pictures of handwritten digits, 28x28, 10 classes",
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
    pictures={"train": 60_000, "test": 10_000},
    licence="the authors' page states none; Keras' documentation states CC BY-SA 3.0 (Yann LeCun, Corinna Cortes)",
    citation=(
        "Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner: Gradient-Based Learning Applied to Document "
        "Recognition. Proceedings of the IEEE 86(11), 1998."
    ),
    checksums_from="torchvision",
    bytes=12_000_000,
    classes=tuple("0123456789"),
)

FASHION_MNIST = NamedSet(
    name="fashion-mnist",
    title="70,000 grey pictures of clothing, 28x28, 10 classes",
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
    pictures={"train": 60_000, "test": 10_000},
    licence="MIT, Copyright (c) 2017 Zalando SE",
    citation=(
        "Han Xiao, Kashif Rasul, Roland Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
        "Learning Algorithms. arXiv:1708.07747, 2017."
    ),
    checksums_from="the authors, in the README of their repository",
    bytes=31_000_000,
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)

_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"

_CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/"

_CIFAR_LICENCE = "the authors' page states none"

_CIFAR_CITATION = "Alex Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, 2009."

_CIFAR_CHECKSUMS = "the authors, on the set's page"

CIFAR10 = NamedSet(
    name="cifar10",
    title="60,000 photos, 32x32, 10 classes",
    home=_CIFAR_HOME,
    address=_CIFAR_ADDRESS,
    served_by="the authors",
    files=(SetFile("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    layout="cifar",
    pictures={"train": 50_000, "test": 10_000},
    licence=_CIFAR_LICENCE,
    citation=_CIFAR_CITATION,
    checksums_from=_CIFAR_CHECKSUMS,
    bytes=170_000_000,
)

CIFAR100 = NamedSet(
    name="cifar100",
    title="60,000 photos, 32x32, 100 classes",
    home=_CIFAR_HOME,
    address=_CIFAR_ADDRESS,
    served_by="the authors",
    files=(SetFile("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),),
    layout="cifar",
    pictures={"train": 50_000, "test": 10_000},
    licence=_CIFAR_LICENCE,
    citation=_CIFAR_CITATION,
    checksums_from=_CIFAR_CHECKSUMS,
    bytes=169_000_000,
)

EUROSAT = NamedSet(
    name="eurosat",
    title="27,000 satellite pictures of land use in Europe, RGB, 64x64, 10 classes",
    home="https://github.com/phelber/EuroSAT",
    address="https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/",
    served_by="Hugging Face; the copy that torchvision fetches",
    files=(SetFile("EuroSAT.zip", "md5:c8fa014336c82ac7804f0398fcb19387"),),
    layout="folders",
    pictures={"": 27_000},
    licence="MIT; contains modified Copernicus Sentinel data",
    citation=(
        "Patrick Helber, Benjamin Bischke, Andreas Dengel, Damian Borth: EuroSAT: A Novel Dataset and Deep Learning "
        "Benchmark for Land Use and Land Cover Classification. IEEE Journal of Selected Topics in Applied Earth "
        "Observations and Remote Sensing 12(7), 2019."
    ),
    checksums_from="torchvision",
    bytes=95_000_000,
    inside={"": "2750"},
)

_IMAGENETTE_HOME = "https://github.com/fastai/imagenette"

_IMAGENETTE_ADDRESS = "https://s3.amazonaws.com/fast-ai-imageclas/"

_IMAGENETTE_LICENCE = (
    "Apache-2.0 for the collection; the photos are ImageNet's, whose terms of access restrict their use"
)

_IMAGENETTE_CITATION = "Jeremy Howard: Imagenette. fast.ai, 2019. https://github.com/fastai/imagenette"

_IMAGENETTE_CHECKSUMS = "torchvision"

_PICTURES = {"train": 9_469, "val": 3_925}

_RENAMED = {
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
}

IMAGENETTE = NamedSet(
    name="imagenette",
    title="13,394 photos of ImageNet, full size, 10 classes",
    home=_IMAGENETTE_HOME,
    address=_IMAGENETTE_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2.tgz", "md5:fe2fc210e6bb7c5664d602c3cd71e612"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_IMAGENETTE_LICENCE,
    citation=_IMAGENETTE_CITATION,
    checksums_from=_IMAGENETTE_CHECKSUMS,
    bytes=1_560_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2/train", "val": "imagenette2/val"},
)

IMAGENETTE_320 = NamedSet(
    name="imagenette-320",
    title="13,394 photos of ImageNet, shorter side 320, 10 classes",
    home=_IMAGENETTE_HOME,
    address=_IMAGENETTE_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2-320.tgz", "md5:3df6f0d01a2c9592104656642f5e78a3"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_IMAGENETTE_LICENCE,
    citation=_IMAGENETTE_CITATION,
    checksums_from=_IMAGENETTE_CHECKSUMS,
    bytes=342_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2-320/train", "val": "imagenette2-320/val"},
)

IMAGENETTE_160 = NamedSet(
    name="imagenette-160",
    title="13,394 photos of ImageNet, shorter side 160, 10 classes",
    home=_IMAGENETTE_HOME,
    address=_IMAGENETTE_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2-160.tgz", "md5:e793b78cc4c9e9a4ccc0c1155377a412"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_IMAGENETTE_LICENCE,
    citation=_IMAGENETTE_CITATION,
    checksums_from=_IMAGENETTE_CHECKSUMS,
    bytes=99_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2-160/train", "val": "imagenette2-160/val"},
)

OXFORD_PETS = NamedSet(
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
    pictures={"train": 3_680, "test": 3_669},
    licence="CC BY-SA 4.0",
    citation=(
        "Omkar M. Parkhi, Andrea Vedaldi, Andrew Zisserman, C. V. Jawahar: Cats and Dogs. IEEE Conference on Computer "
        "Vision and Pattern Recognition, 2012."
    ),
    checksums_from="torchvision",
    bytes=811_000_000,
)
