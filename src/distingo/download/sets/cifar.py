"""CIFAR-10 and CIFAR-100: tiny photos, in the binary form, which is read without unpickling anything."""

from distingo.download.sets.record import NamedSet, SetFile

_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"
_ADDRESS = "https://www.cs.toronto.edu/~kriz/"
_LICENCE = "the authors' page states none"
_CITATION = "Alex Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, 2009."
_CHECKSUMS = "the authors, on the set's page"

CIFAR10 = NamedSet(
    name="cifar10",
    title="60,000 photos, 32x32, 10 classes",
    home=_HOME,
    address=_ADDRESS,
    served_by="the authors",
    files=(SetFile("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    layout="cifar",
    pictures={"train": 50_000, "test": 10_000},
    licence=_LICENCE,
    citation=_CITATION,
    checksums_from=_CHECKSUMS,
    bytes=170_000_000,
)

CIFAR100 = NamedSet(
    name="cifar100",
    title="60,000 photos, 32x32, 100 classes",
    home=_HOME,
    address=_ADDRESS,
    served_by="the authors",
    files=(SetFile("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),),
    layout="cifar",
    pictures={"train": 50_000, "test": 10_000},
    licence=_LICENCE,
    citation=_CITATION,
    checksums_from=_CHECKSUMS,
    bytes=169_000_000,
)
