"""EuroSAT: land use seen by the Sentinel-2 satellites."""

from distingo.download.sets.record import NamedSet, SetFile

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
