"""The Oxford-IIIT pets: breeds of cats and dogs."""

from distingo.download.sets.record import NamedSet, SetFile

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
