"""Fashion-MNIST: Zalando's articles of clothing."""

from distingo.download.sets.record import NamedSet, SetFile

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
