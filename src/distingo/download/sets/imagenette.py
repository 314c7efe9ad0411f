"""Imagenette: ten easily told classes of ImageNet, in three sizes."""

from distingo.download.sets.record import NamedSet, SetFile

_HOME = "https://github.com/fastai/imagenette"
_ADDRESS = "https://s3.amazonaws.com/fast-ai-imageclas/"
_LICENCE = "Apache-2.0 for the collection; the photos are ImageNet's, whose terms of access restrict their use"
_CITATION = "Jeremy Howard: Imagenette. fast.ai, 2019. https://github.com/fastai/imagenette"
_CHECKSUMS = "torchvision"
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
    home=_HOME,
    address=_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2.tgz", "md5:fe2fc210e6bb7c5664d602c3cd71e612"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_LICENCE,
    citation=_CITATION,
    checksums_from=_CHECKSUMS,
    bytes=1_560_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2/train", "val": "imagenette2/val"},
)

IMAGENETTE_320 = NamedSet(
    name="imagenette-320",
    title="13,394 photos of ImageNet, shorter side 320, 10 classes",
    home=_HOME,
    address=_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2-320.tgz", "md5:3df6f0d01a2c9592104656642f5e78a3"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_LICENCE,
    citation=_CITATION,
    checksums_from=_CHECKSUMS,
    bytes=342_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2-320/train", "val": "imagenette2-320/val"},
)

IMAGENETTE_160 = NamedSet(
    name="imagenette-160",
    title="13,394 photos of ImageNet, shorter side 160, 10 classes",
    home=_HOME,
    address=_ADDRESS,
    served_by="the authors",
    files=(SetFile("imagenette2-160.tgz", "md5:e793b78cc4c9e9a4ccc0c1155377a412"),),
    layout="folders",
    pictures=_PICTURES,
    licence=_LICENCE,
    citation=_CITATION,
    checksums_from=_CHECKSUMS,
    bytes=99_000_000,
    renamed=_RENAMED,
    inside={"train": "imagenette2-160/train", "val": "imagenette2-160/val"},
)
