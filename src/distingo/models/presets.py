"""Names and configurations of pretrained backbones.

Three presets have names that stay (`docs/backbones.md` gives the evidence for each). Any other backbone has timm's own
configuration, or that in the ``config.json`` of a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from distingo.errors import ModelError, join_faults, quote, suggest_names
from distingo.files import parse_json
from distingo.models.architectures import check_architecture, import_timm
from distingo.models.catalog import CATALOG
from distingo.records import ImageSpec
from distingo.runs.fields import Count, Number, Positive, Size, Text, find_faults


@dataclass(frozen=True, slots=True)
class BackbonePreset:
    """A short name for one pretrained backbone.

    Attributes:
        name: What a user types.
        backbone: timm's name with tag.
        summary: One line about it.
    """

    name: str
    backbone: str
    summary: str


_PRESETS = (
    BackbonePreset(
        "fast",
        "mobilenetv4_conv_medium.e500_r224_in1k",
        "for a laptop's processor: MobileNetV4, 0.84 GMACs at 224 pixels",
    ),
    BackbonePreset(
        "good",
        "convnext_tiny.in12k_ft_in1k",
        "for patience or a small GPU: ConvNeXt tiny pretrained on ImageNet-12k, 4.5 GMACs at 224 pixels",
    ),
    BackbonePreset(
        "best",
        "eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
        "for a GPU: EVA-02 large, 362 GMACs at 448 pixels",
    ),
)

PRESETS: dict[str, BackbonePreset] = {preset.name: preset for preset in _PRESETS}

_REQUESTS_CODE = ("auto_map", "trust_remote_code", "custom_pipelines", "custom_load")

_SET_BY_US = {"num_classes", "in_chans", "img_size"}

_CREATION_OPTIONS = {"cache_dir", "checkpoint_path", "exportable", "features_only", "file", "no_jit", "scriptable"}

_ADVICE = "take the folder from the hub again, or choose another backbone"

_Channels = Annotated[list[Number], msgspec.Meta(min_length=1, max_length=64)]

_Layers = Text | Annotated[list[Text], msgspec.Meta(max_length=64)] | None

_PRETRAINED: dict[str, object] = {
    "tag": Text | None,
    "license": Text | None,
    "hf_hub_id": Text | None,
    "hf_hub_filename": Text | None,
    "input_size": tuple[Annotated[int, msgspec.Meta(ge=1, le=64)], Size, Size] | None,
    "fixed_input_size": bool | None,
    "interpolation": Text | None,
    "crop_pct": Annotated[float, msgspec.Meta(gt=0, le=100)] | None,
    "crop_mode": Text | None,
    "mean": _Channels | None,
    "std": Annotated[list[Positive], msgspec.Meta(min_length=1, max_length=64)] | None,
    "num_classes": Count | None,
    "first_conv": _Layers,
    "classifier": _Layers,
}
"""Of timm's pretrained configuration what is read here or by timm; with the bounds of ``model.json``, where most of it
goes. Channels are counted later: a backbone of other than three is refused as such."""

_INTERPOLATIONS: dict[str, Literal["bilinear", "bicubic", "lanczos"]] = {"bilinear": "bilinear", "lanczos": "lanczos"}


@dataclass(frozen=True, slots=True)
class BackboneSettings:
    """A pretrained configuration.

    Attributes:
        architecture: timm's name of the architecture, without tag.
        configuration: timm's pretrained configuration as a plain dictionary.
        arguments: What the architecture's constructor gets besides; JSON values.
    """

    architecture: str
    configuration: Mapping[str, Any]
    arguments: Mapping[str, Any]

    @property
    def tag(self) -> str:
        """The tag that timm gives the pretrained weights; empty if unknown."""
        return self.configuration.get("tag") or ""

    @property
    def license(self) -> str:
        """The weights' license as named by their publisher; empty if unknown."""
        return self.configuration.get("license") or ""

    @property
    def has_weights(self) -> bool:
        """Whether timm names a place for its weights."""
        return any(self.configuration.get(name) for name in ("hf_hub_id", "url", "file"))

    @property
    def repository(self) -> str:
        """The hub's repository. timm keeps its weights under one name there, also those that it doesn't link yet."""
        return self.configuration.get("hf_hub_id") or f"timm/{self.architecture}.{self.tag}"

    @property
    def weights_file(self) -> str:
        """The name of the weights file in the repository; only safetensors."""
        named = str(self.configuration.get("hf_hub_filename") or "")
        return named if named.endswith(".safetensors") else "model.safetensors"

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels that the weights were trained for."""
        _, height, width = self.configuration.get("input_size") or (3, 224, 224)
        return int(height), int(width)

    @property
    def fixed_size(self) -> bool:
        """Whether the architecture must know the image's size when it is built."""
        return bool(self.configuration.get("fixed_input_size", False))

    @property
    def mean(self) -> tuple[float, ...]:
        """Per channel, of pixel values in [0, 1]."""
        return tuple(float(value) for value in self.configuration.get("mean") or (0.485, 0.456, 0.406))

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel, of pixel values in [0, 1]."""
        return tuple(float(value) for value in self.configuration.get("std") or (0.229, 0.224, 0.225))

    def image_spec(self, height: int, width: int) -> ImageSpec:
        """Return the preprocessing that the weights were evaluated with, optionally at another size.

        timm's ``squash`` is our ``stretch``. Its ``border`` (the whole image, padded) has no equal here: the middle
        cut with the configuration's own fraction comes nearest.
        """
        interpolation = _INTERPOLATIONS.get(self.configuration.get("interpolation", ""), "bicubic")
        if self.configuration.get("crop_mode") == "squash":
            return ImageSpec(height, width, 3, "stretch", 1.0, interpolation)
        # Some configurations say more than 1 (a padded image), which a cut can't give.
        fraction = min(1.0, float(self.configuration.get("crop_pct") or 0.875))
        return ImageSpec(height, width, 3, "crop", fraction, interpolation)


def find_settings(name: str) -> BackboneSettings:
    """Look a backbone up in timm.

    Args:
        name: timm's, with or without tag.

    Raises:
        ModelError: timm doesn't know it; says the nearest names.
    """
    models = import_timm().models
    architecture, _, tag = name.partition(".")
    if not models.is_model(architecture):
        architectures = dict.fromkeys(pretrained.partition(".")[0] for pretrained in models.list_pretrained())
        names = [*CATALOG, *PRESETS, *architectures]
        raise ModelError(
            f"no model is called {name!r}; {_nearest(architecture, names)}", code="unknown_name", parameter="model"
        )
    if tag and name not in _trained(architecture):
        raise ModelError(
            f"{architecture} has no weights tagged {tag!r}; {_nearest(name, _trained(architecture))}",
            code="unknown_name",
            parameter="model",
        )
    configuration = models.get_pretrained_cfg(name)
    return _checked(
        BackboneSettings(architecture, asdict(configuration) if configuration else {}, {}), f"backbone {name}"
    )


def _trained(architecture: str) -> list[str]:
    return [str(name) for name in import_timm().models.list_pretrained(f"{architecture}.*")]


def _nearest(name: str, names: list[str]) -> str:
    many = "`distingo models` and `distingo models --pretrained` list all"
    return suggest_names(name, names, otherwise=None if len(names) <= 20 else many)


def read_settings(path: Path) -> BackboneSettings:
    """Read the ``config.json`` of a timm hub folder.

    Args:
        path: The file.

    Raises:
        ModelError: It is missing, damaged, not timm's, or asks for code that we would have to run.
    """
    content = _read_object(path)
    pretrained = content.get("pretrained_cfg", content)
    if not isinstance(pretrained, dict):
        raise ModelError(
            f"{path}: pretrained_cfg is no JSON object; take the folder from the hub again", code="damaged_file"
        )
    _refuse_code(path, content, pretrained)
    architecture = content.get("architecture")
    if not isinstance(architecture, str):
        raise ModelError(
            f"{path}: names no timm architecture; give a folder that timm saved for the hub", code="missing_field"
        )
    models = import_timm().models
    if not models.is_model(architecture):
        near = _nearest(architecture[:100], models.list_models())
        raise ModelError(f"{path}: timm knows no architecture {quote(architecture)}; {near}", code="unknown_name")
    # The places that timm would fetch from are none of ours: they would only be carried along unchecked.
    field_names = {field.name for field in fields(models.PretrainedCfg)} & set(_PRETRAINED)
    configuration = {name: value for name, value in pretrained.items() if name in field_names}
    if "num_classes" in content:
        configuration["num_classes"] = content["num_classes"]
    if faults := find_faults(configuration, _PRETRAINED, optional=tuple(_PRETRAINED)):
        raise ModelError(join_faults([f"{path}: damaged ({fault})" for fault in faults], _ADVICE), code="damaged_file")
    arguments = content.get("model_args") or {}
    _check_arguments(path, arguments)
    shaping = {name: value for name, value in arguments.items() if name not in _SET_BY_US}
    try:
        check_architecture(architecture, shaping)
    except ModelError as error:
        raise ModelError(f"{path}: {error}", code=error.code, parameter=error.parameter) from error
    return _checked(BackboneSettings(architecture, configuration, shaping), str(path))


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; a hub folder holds config.json and model.safetensors", code="not_found"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: damaged or unreadable ({error}); take it from the hub again", code="damaged_file"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: no JSON object; take it from the hub again", code="damaged_file")
    return content


def _refuse_code(path: Path, *levels: Mapping[str, Any]) -> None:
    """We run no code that comes with weights; a configuration that asks for it is refused as a whole."""
    for level in levels:
        for name in _REQUESTS_CODE:
            if level.get(name):
                raise ModelError(
                    f"{path}: asks for code of its own ({name}), which is never run; choose another backbone",
                    code="forbidden_code",
                )
        library = level.get("library_name")
        if library not in (None, "timm"):
            raise ModelError(
                f"{path}: belongs to the library {quote(library)}; only timm's backbones can be used",
                code="unsupported_model",
            )


def _check_arguments(path: Path, arguments: Any) -> None:
    names = set(arguments) if isinstance(arguments, dict) else {"model_args"}
    refused = sorted(name for name in names if name in _CREATION_OPTIONS or name.startswith("pretrained"))
    if refused or not isinstance(arguments, dict):
        named = ", ".join(quote(name)[1:-1] for name in sorted(refused or names)[:10])
        raise ModelError(f"{path}: model_args may not hold {named}; choose another backbone", code="forbidden_argument")


def _checked(settings: BackboneSettings, origin: str) -> BackboneSettings:
    try:
        channels = int((settings.configuration.get("input_size") or (3,))[0])
        height, width = settings.input_size
        valid = len(settings.mean) == len(settings.std) == channels == 3
        valid = valid and min(height, width, *settings.std) > 0
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise ModelError(
            f"{origin}: a damaged pretrained configuration ({error}); take it from the hub again", code="damaged_file"
        ) from error
    if not valid:
        raise ModelError(f"{origin}: not for pictures of 3 channels; choose another backbone", code="unsupported_model")
    return settings
