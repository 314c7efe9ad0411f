"""The layouts of well-known public data sets, as their archives unpack: read right, or refused with what helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError
from note_texts import texts

ABC = ("apple", "banana", "cherry")


@dataclass(frozen=True)
class Right:
    """How a data set is to be read: its classes, how many images are on which split, and a part of its notes."""

    classes: Sequence[str]
    splits: Mapping[str | None, int]
    notes: str = ""
    options: TableOptions | None = None
    ignored: int = 0
    pairs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A part of the line that says what to do."""

    line: str
    options: TableOptions | None = None


def under(folder: str, classes: Sequence[str], count: int = 2, ending: str = "jpg") -> list[str]:
    return [f"{folder}/{name}/{at}.{ending}".lstrip("/") for name in classes for at in range(count)]


def flat(folder: str, count: int = 4, ending: str = "jpg", prefix: str = "") -> list[str]:
    return [f"{folder}/{prefix}{at}.{ending}".lstrip("/") for at in range(count)]


def rows(header: str, *lines: str) -> str:
    return "\n".join((header, *lines)) + "\n"


NP = ("NORMAL", "PNEUMONIA")
XRAY = under("train", NP) + under("test", NP) + under("val", NP, 1)
INTEL = ("buildings", "forest", "sea")
BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
TINY_ANNOTATIONS = (
    "val_0.JPEG\tn01629819\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t52\t55\t57\t59\nval_2.JPEG\tn01629819\t4\t0\t60\t55\n"
)
SPLITS_OF_3 = {"train": 6, "test": 6}

GALLERY: dict[str, tuple[Sequence[str], Mapping[str, str], Right | Refused]] = {
    "fruits-360": (
        under("Training", ABC) + under("Test", ABC) + ["README.md", "LICENSE"],
        {},
        Right(ABC, SPLITS_OF_3, "Training (train), Test (test)", ignored=2),
    ),
    "fruits-360 with its test-multiple_fruits": (
        under("Training", ABC) + under("Test", ABC) + flat("test-multiple_fruits"),
        {},
        Right(ABC, SPLITS_OF_3, "test-multiple_fruits (4 files)", ignored=4),
    ),
    "brain tumor MRI": (
        under("Training", ("glioma", "meningioma")) + under("Testing", ("glioma", "meningioma")),
        {},
        Right(("glioma", "meningioma"), {"train": 4, "test": 4}, "Testing (test)"),
    ),
    "intel image classification": (
        under("seg_train/seg_train", INTEL) + under("seg_test/seg_test", INTEL) + flat("seg_pred/seg_pred", 3),
        {},
        Right(INTEL, SPLITS_OF_3, "seg_train/seg_train (train)", ignored=3),
    ),
    "cats and dogs, training_set": (
        under("training_set/training_set", ("cats", "dogs")) + under("test_set/test_set", ("cats", "dogs")),
        {},
        Right(("cats", "dogs"), {"train": 4, "test": 4}, "test_set/test_set (test)"),
    ),
    "cats and dogs, filtered": (
        under("cats_and_dogs_filtered/train", ("cats", "dogs"))
        + under("cats_and_dogs_filtered/validation", ("cats", "dogs"))
        + ["cats_and_dogs_filtered/vectorize.py"],
        {},
        Right(
            ("cats", "dogs"),
            {"train": 4, "validation": 4},
            "no folder is the test split; training cuts it from the train split",
            ignored=1,
        ),
    ),
    "dogs vs. cats": (
        flat("train", 3, prefix="cat.") + flat("train", 3, prefix="dog.") + flat("test1"),
        {"sampleSubmission.csv": rows("id,label", "1,0", "2,0")},
        Refused("its folders train, test1 are named like splits and hold neither class folders nor a table"),
    ),
    "chest X-ray": (XRAY, {}, Right(NP, {"train": 4, "test": 4, "validation": 2})),
    "chest X-ray, zipped twice": (
        [f"chest_xray/{name}" for name in XRAY]
        + [f"chest_xray/chest_xray/{name}" for name in XRAY]
        + ["chest_xray/__MACOSX/train/._1.jpg"],
        {},
        Right(NP, {"train": 4, "test": 4, "validation": 2}, "not read, because next to the split folders", ignored=11),
    ),
    "PlantVillage": (
        under("PlantVillage", ("Pepper___healthy", "Potato___Late_blight")),
        {},
        Right(
            ("Pepper___healthy", "Potato___Late_blight"),
            {None: 4},
            "class folders: those in PlantVillage, the only folder with images",
        ),
    ),
    "an archive around a data set": (
        [*under("archive/Dataset", ABC), "README.md", "archive/LICENSE", "archive/Dataset/notes.txt"],
        {},
        Right(ABC, {None: 6}, "class folders: those in archive/Dataset, the only folder with images", ignored=3),
    ),
    "an archive around class folders with a metadata of captions": (
        under("archive/Dataset", ABC),
        {"archive/Dataset/metadata.csv": rows("file_name,text", "apple/0.jpg,an apple", "banana/1.jpg,a banana")},
        Right(ABC, {None: 6}, "class folders: those in archive/Dataset, the only folder with images", ignored=1),
    ),
    "an archive around split folders": (
        under("archive/Dataset/Training", ABC) + under("archive/Dataset/Testing", ABC) + ["archive/README.md"],
        {},
        Right(ABC, SPLITS_OF_3, "archive/Dataset/Testing (test)", ignored=1),
    ),
    "an archive around split folders in class folders": (
        under("archive", [f"{name}/{split}" for name in ABC for split in ("train", "test")]),
        {},
        Right(ABC, SPLITS_OF_3, "split folders inside of class folders: test (test), train (train)"),
    ),
    "an archive around flat split folders with a table each": (
        flat("archive/train") + flat("archive/test", 2),
        {
            "archive/train/metadata.csv": rows("file_name,label", *(f"{at}.jpg,{ABC[at % 2]}" for at in range(4))),
            "archive/test/metadata.csv": rows("file_name,label", "0.jpg,banana", "1.jpg,banana"),
        },
        Right(ABC[:2], {"train": 4, "test": 2}, ignored=2, pairs={"archive/test/0.jpg": "banana"}),
    ),
    "an archive around folders that may be splits": (
        under("archive/photo", ABC) + under("archive/sketch", ABC),
        {},
        Refused("splits train=archive/photo,test=archive/sketch"),
    ),
    "an archive around folders that are not splits": (
        under("archive/photo", ABC) + under("archive/sketch", ABC),
        {},
        Right(("photo", "sketch"), {None: 12}, "those in archive", options=TableOptions(splits="none")),
    ),
    "an archive around images and masks": (
        under("archive", ("images", "masks"), ending="png"),
        {},
        Refused("one class only (archive, 4 files)"),
    ),
    "PlantVillage, in color, gray and segmented": (
        under("color", ABC) + under("grayscale", ABC) + under("segmented", ABC),
        {},
        Refused("its folders color, grayscale, segmented hold the same folders (apple, banana, cherry)"),
    ),
    "Caltech 101": (
        [*under("101_ObjectCategories", ("BACKGROUND_Google", "accordion")), "Annotations/accordion/annotation_1.mat"],
        {},
        Refused("if the folders inside 101_ObjectCategories are the classes, give ROOT/101_ObjectCategories"),
    ),
    "Caltech 101, its own folder": (
        under("", ("BACKGROUND_Google", "accordion", "airplanes")),
        {},
        Right(("BACKGROUND_Google", "accordion", "airplanes"), {None: 6}),
    ),
    "CUB-200-2011": (
        [*under("images", BIRDS), "classes.txt", "parts/parts.txt", "attributes/certainties.txt"],
        {},
        Refused("if the folders inside images are the classes, give ROOT/images"),
    ),
    "Stanford Dogs": (
        [
            *under("Images", ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")),
            *under("Annotation", ("n02085620-Chihuahua", "n02085782-Japanese_spaniel"), ending=""),
            "lists/train_list.mat",
        ],
        {},
        Refused("its folders Annotation, Images look like the parts of one set, not like classes; give the one"),
    ),
    "Food-101": (
        [*under("images", ABC), "meta/train.txt", "meta/classes.txt", "license_agreement.txt"],
        {},
        Refused("if the folders inside images are the classes, give ROOT/images"),
    ),
    "EuroSAT": (under("2750", ABC), {}, Right(ABC, {None: 6}, "class folders: those in 2750")),
    "EuroSAT with tables of splits": (
        under("", ABC),
        {"train.csv": rows("Filename,Label,ClassName", "apple/0.jpg,0,apple")},
        Right(ABC, {None: 6}, "train.csv is not read", ignored=1),
    ),
    "Tiny ImageNet": (
        [f"train/{name}/images/{at}.JPEG" for name in ("n01443537", "n01629819") for at in range(2)]
        + ["train/n01443537/n01443537_boxes.txt", "wnids.txt"]
        + flat("val/images", 3, "JPEG", "val_")
        + flat("test/images", 3, "JPEG"),
        {"val/val_annotations.txt": TINY_ANNOTATIONS},
        Right(
            ("n01443537", "n01629819"),
            {"train": 4 + 1, "validation": 3},
            "val_annotations.txt was read as CSV with tabs, UTF-8, without a line of names",
            ignored=5,
            pairs={
                "val/images/val_0.JPEG": "n01629819",
                "val/images/val_1.JPEG": "n01443537",
                "val/images/val_2.JPEG": "n01629819",
            },
        ),
    ),
    "Tiny ImageNet in its folder, annotations without labels that are known": (
        [f"tiny-imagenet-200/train/{name}/images/{at}.JPEG" for name in ("n1", "n2") for at in range(2)]
        + flat("tiny-imagenet-200/val/images", 3, "JPEG", "val_"),
        {"tiny-imagenet-200/val/val_annotations.txt": TINY_ANNOTATIONS},
        Right(
            ("n1", "n2"),
            {"train": 4},
            "not used: 3 images without a label in tiny-imagenet-200/val/images",
            ignored=4,
        ),
    ),
    "Tiny ImageNet in its folder": (
        [f"tiny-imagenet-200/train/{name}/images/{at}.JPEG" for name in ("n01443537", "n01629819") for at in range(2)]
        + flat("tiny-imagenet-200/val/images", 3, "JPEG", "val_"),
        {"tiny-imagenet-200/val/val_annotations.txt": TINY_ANNOTATIONS},
        Right(
            ("n01443537", "n01629819"),
            {"train": 4, "validation": 3},
            ignored=1,
            pairs={"tiny-imagenet-200/val/images/val_1.JPEG": "n01443537"},
        ),
    ),
    "Imagenette": (
        under("imagenette2/train", ("n01440764", "n02102040")) + under("imagenette2/val", ("n01440764", "n02102040")),
        {"imagenette2/noisy_imagenette.csv": rows("path,noisy_labels_0", "train/n01440764/0.jpg,n01440764")},
        Right(("n01440764", "n02102040"), {"train": 4, "validation": 4}, "imagenette2/val (validation)", ignored=1),
    ),
    "CIFAR-10 as folders": (under("train", ABC) + under("test", ABC), {}, Right(ABC, SPLITS_OF_3)),
    "MNIST as folders": (
        under("mnist_png/training", "012") + under("mnist_png/testing", "012"),
        {},
        Right(tuple("012"), SPLITS_OF_3, "mnist_png/testing (test)"),
    ),
    "GTSRB": (
        under("Train", "012", ending="png") + flat("Test", 4, "png") + flat("Meta", 3, "png"),
        {
            "Train.csv": rows("Width,ClassId,Path", *(f"30,{at},Train/{at}/0.png" for at in range(3))),
            "Test.csv": rows("Width,ClassId,Path", *(f"30,{at % 3},Test/{at}.png" for at in range(4))),
            "Meta.csv": rows("Path,ClassId", "Meta/0.png,0"),
        },
        Right(
            tuple("012"),
            {"train": 6, "test": 4},
            "",
            options=TableOptions(label_column="ClassId"),
            ignored=6,
            pairs={"Test/2.png": "2"},
        ),
    ),
    "Hugging Face imagefolder with metadata": (
        flat("train") + flat("test", 2),
        {
            "train/metadata.csv": rows("file_name,label", *(f"{at}.jpg,{ABC[at % 2]}" for at in range(4))),
            "test/metadata.csv": rows("file_name,label", "0.jpg,banana", "1.jpg,banana"),
        },
        Right(ABC[:2], {"train": 4, "test": 2}, ignored=2, pairs={"test/0.jpg": "banana", "train/0.jpg": "apple"}),
    ),
    "Hugging Face imagefolder with metadata in lines": (
        flat("train") + flat("validation", 2),
        {
            "train/metadata.jsonl": "".join(
                f'{{"file_name": "{at}.jpg", "label": "{ABC[at % 2]}"}}\n' for at in range(4)
            ),
            "validation/metadata.jsonl": '{"file_name": "1.jpg", "label": "apple"}\n',
        },
        Right(ABC[:2], {"train": 4, "validation": 1}, ignored=3, pairs={"validation/1.jpg": "apple"}),
    ),
    "Hugging Face imagefolder of captions in class folders": (
        under("train", ABC) + under("test", ABC),
        {
            f"{split}/metadata.csv": rows(
                "file_name,text", *(f"{name}/{at}.jpg,{name} no. {at}" for name in ABC for at in "01")
            )
            for split in ("train", "test")
        },
        Right(ABC, SPLITS_OF_3, "train/metadata.csv: the labels are the folders' names", ignored=2),
    ),
    "Kaggle: train.csv beside train and test": (
        flat("train") + flat("test"),
        {
            "train.csv": rows("image_id,label", *(f"{at}.jpg,{ABC[at % 2]}" for at in range(4))),
            "sample_submission.csv": rows("image_id,label", *(f"{at}.jpg,apple" for at in range(4))),
            "test.csv": rows("image_id", *(f"{at}.jpg" for at in range(4))),
        },
        Right(
            ABC[:2],
            {"train": 4},
            "not used: 4 images without a label in test",
            ignored=7,
            pairs={"train/1.jpg": "banana"},
        ),
    ),
    "cassava": (
        flat("train_images") + flat("test_images", 1),
        {
            "train.csv": rows("image_id,label", *(f"{at}.jpg,{at % 2}" for at in range(4))),
            "label_num_to_disease_map.json": '{"0": "Blight", "1": "Streak"}',
            "sample_submission.csv": rows("image_id,label", "0.jpg,4"),
        },
        Right(("0", "1"), {"train": 4}, "in test_images", ignored=4),
    ),
    "dog breed identification": (
        flat("train") + flat("test", prefix="t"),
        {
            "labels.csv": rows("id,breed", *(f"{at},{('boxer', 'pug')[at % 2]}" for at in range(4))),
            "sample_submission.csv": rows("id,boxer,pug", "t0,0.5,0.5"),
        },
        Right(("boxer", "pug"), {None: 4}, "labels.csv was read as", ignored=6),
    ),
    "plant pathology 2020": (
        flat("images", prefix="Train_") + flat("images", prefix="Test_"),
        {
            "train.csv": rows("image_id,healthy,rust", *(f"Train_{at},{at % 2},{1 - at % 2}" for at in range(4))),
            "test.csv": rows("image_id", *(f"Test_{at}" for at in range(4))),
            "sample_submission.csv": rows("image_id,healthy,rust", *(f"Test_{at},0.5,0.5" for at in range(4))),
        },
        Right(("healthy", "rust"), {None: 4}, "train.csv was read as", ignored=7),
    ),
    "HAM10000": (
        flat("HAM10000_images_part_1", prefix="ISIC_a") + flat("HAM10000_images_part_2", prefix="ISIC_b"),
        {
            "HAM10000_metadata.csv": rows(
                "lesion_id,image_id,dx",
                *(f"L{split}{at},ISIC_{split}{at},{('nv', 'mel')[at % 2]}" for split in "ab" for at in range(4)),
            )
        },
        Right(("mel", "nv"), {None: 8}, "labels from 'dx'", ignored=1),
    ),
    "HAM10000, its table": (
        flat("HAM10000_images_part_1", prefix="ISIC_a") + flat("HAM10000_images_part_2", prefix="ISIC_b"),
        {
            "HAM10000_metadata.csv": rows(
                "lesion_id,image_id,dx",
                *(f"L{split}{at},ISIC_{split}{at},{('nv', 'mel')[at % 2]}" for split in "ab" for at in range(4)),
            )
        },
        Right(("mel", "nv"), {None: 8}, options=TableOptions(label_column="dx"), ignored=1),
    ),
    "MVTec, one category": (
        under("train", ("good",), 4)
        + under("test", ("good", "broken_large"))
        + under("ground_truth", ("broken_large",)),
        {},
        Right(("broken_large", "good"), {"train": 4, "test": 4}, "ground_truth (2 files)", ignored=2),
    ),
    "MVTec, all categories": (
        under("bottle/train", ("good",))
        + under("bottle/test", ("good", "broken_large"))
        + under("cable/train", ("good",))
        + under("cable/test", ("good", "bent_wire")),
        {},
        Refused('read all of them together by splits "train=*/train,test=*/test"'),
    ),
    "a repository with its data set, a notebook and a figure": (
        under("dataset/train", ABC) + under("dataset/test", ABC) + ["docs/logo.png", "notebook.ipynb", "README.md"],
        {},
        Refused("splits train=dataset/train,test=dataset/test"),
    ),
    "a repository with its data set, as its question says": (
        under("dataset/train", ABC) + under("dataset/test", ABC) + ["docs/logo.png", "notebook.ipynb", "README.md"],
        {},
        Right(
            ABC,
            SPLITS_OF_3,
            "not read, because next to the split folders: docs (1 file)",
            options=TableOptions(splits="train=dataset/train,test=dataset/test"),
            ignored=3,
        ),
    ),
    "train and valid beside an archive of the same": (
        under("train", ABC) + under("valid", ABC) + under("archive/train", ABC) + under("archive/valid", ABC),
        {},
        Right(
            ABC,
            {"train": 6, "validation": 6},
            "not read, because next to the split folders: archive (12 files)",
            ignored=12,
        ),
    ),
    "class folders zipped on a Mac": (
        under("dataset", ABC) + under("__MACOSX/dataset", ABC, 1),
        {},
        Right(ABC, {None: 6}, "class folders: those in dataset, the only folder with images", ignored=3),
    ),
    "images and masks, with splits in each": (
        flat("images/train") + flat("images/val") + flat("masks/train") + flat("masks/val"),
        {},
        Refused("its folders images, masks look like the parts of one set"),
    ),
    "images and masks with splits, and a table of labels": (
        flat("images/train", prefix="a") + flat("images/val", prefix="b") + flat("masks/train", prefix="m"),
        {"labels.csv": rows("file,label", *(f"images/train/a{at}.jpg,{ABC[at % 2]}" for at in range(4)))},
        Right(ABC[:2], {None: 4}, ignored=9, pairs={"images/train/a1.jpg": "banana"}),
    ),
    "YOLO": (
        [
            f"{split}/{part}/{at}.{ending}"
            for split in ("train", "valid")
            for part, ending in (("images", "jpg"), ("labels", "txt"))
            for at in range(2)
        ]
        + ["data.yaml"],
        {},
        Refused("are named like splits and hold neither class folders nor a table of their labels"),
    ),
    "masks beside images": (
        under("train", ("images", "masks"), ending="png") + under("test", ("images", "masks"), ending="png"),
        {},
        Refused("look like the parts of a detection or segmentation set"),
    ),
    "splits inside of class folders": (
        under("", [f"{name}/{split}" for name in ABC for split in ("train", "test")]),
        {},
        Right(ABC, SPLITS_OF_3, "split folders inside of class folders: test (test), train (train)"),
    ),
    "Office-31": (
        under("amazon/images", ("bike", "mug"))
        + under("dslr/images", ("bike", "mug"))
        + under("webcam/images", ("bike", "mug")),
        {},
        Refused("its folders amazon, dslr, webcam hold the same folders (bike, mug)"),
    ),
    "PACS": (
        under("photo", ABC) + under("sketch", ABC),
        {},
        Refused("splits train=photo,test=sketch"),
    ),
    "PACS, all together": (
        under("photo", ABC) + under("sketch", ABC),
        {},
        Right(ABC, {"train": 12}, options=TableOptions(splits="train=*")),
    ),
}


def lay_out(root: Path, files: Sequence[str], texts: Mapping[str, str]) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("name", GALLERY)
def test_a_public_layout_is_read_right_or_refused_with_what_helps(tmp_path: Path, name: str) -> None:
    files, contents, expected = GALLERY[name]
    root = lay_out(tmp_path / "data", files, contents)
    if isinstance(expected, Refused):
        with pytest.raises(DataError) as caught:
            find_layout(root, expected.options)
        line = str(caught.value).replace(str(root), "ROOT")
        assert expected.line in line
        assert "\n" not in line
        return
    layout = find_layout(root, expected.options)
    assert layout.classes == tuple(sorted(expected.classes))
    assert Counter(candidate.split for candidate in layout.candidates) == expected.splits
    assert expected.notes in "\n".join(texts(layout.notes))
    assert len(layout.ignored) == expected.ignored
    labels = {candidate.source.file: candidate.labels for candidate in layout.candidates}
    assert {file: labels[file] for file in expected.pairs} == {file: (label,) for file, label in expected.pairs.items()}
    accounted = [*labels, *(row.file for row in layout.ignored)]
    assert sorted(accounted) == sorted([*files, *contents])
