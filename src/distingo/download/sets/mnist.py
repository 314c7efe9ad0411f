"""MNIST: handwritten digits."""

from distingo.download.sets.record import NamedSet, SetFile

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
