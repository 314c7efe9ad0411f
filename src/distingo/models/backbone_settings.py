"""What a pretrained configuration says about a backbone: timm's own, or the ``config.json`` of a folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from distingo.checksums import parse_json
from distingo.errors import ModelError, name_the_nearest
from distingo.models.catalogue import CATALOGUE
from distingo.models.presets import PRESETS
from distingo.models.timm_import import import_timm
from distingo.records import Rendition

_ASKS_FOR_CODE = ("auto_map", "trust_remote_code", "custom_pipelines", "custom_load")
_SET_BY_US = {"num_classes", "in_chans", "img_size"}
_CREATION_OPTIONS = {"cache_dir", "checkpoint_path", "exportable", "features_only", "file", "no_jit", "scriptable"}
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
    configuration: dict[str, Any]
    arguments: dict[str, Any]

    @property
    def tag(self) -> str:
        """Which training of the architecture the weights come from; empty where unknown."""
        return self.configuration.get("tag") or ""

    @property
    def licence(self) -> str:
        """The weights' licence as their publisher names it; empty where unknown."""
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
        """Whether the architecture must know the picture's size when it is built."""
        return bool(self.configuration.get("fixed_input_size", False))

    @property
    def mean(self) -> tuple[float, ...]:
        """Per channel, of pixel values in [0, 1]."""
        return tuple(float(value) for value in self.configuration.get("mean") or (0.485, 0.456, 0.406))

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel, of pixel values in [0, 1]."""
        return tuple(float(value) for value in self.configuration.get("std") or (0.229, 0.224, 0.225))

    def rendition(self, height: int, width: int) -> Rendition:
        """The pictures that the weights were evaluated on, at another size where wished.

        timm's ``squash`` is our ``stretch``. Its ``border`` (the whole picture, padded) has no equal here: the middle
        cut with the configuration's own fraction comes nearest.
        """
        interpolation = _INTERPOLATIONS.get(self.configuration.get("interpolation", ""), "bicubic")
        if self.configuration.get("crop_mode") == "squash":
            return Rendition(height, width, 3, "stretch", 1.0, interpolation)
        # Some configurations say more than 1 (a padded picture), which a cut can't give.
        fraction = min(1.0, float(self.configuration.get("crop_pct") or 0.875))
        return Rendition(height, width, 3, "crop", fraction, interpolation)


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
        names = models.list_pretrained()
        known = [*CATALOGUE, *PRESETS, *dict.fromkeys(known.partition(".")[0] for known in names)]
        raise ModelError(f"no model is called {name!r}; {_nearest(architecture, known)}")
    if tag and name not in _trained(architecture):
        raise ModelError(f"{architecture} has no weights tagged {tag!r}; {_nearest(name, _trained(architecture))}")
    found = models.get_pretrained_cfg(name)
    return _checked(BackboneSettings(architecture, asdict(found) if found else {}, {}), f"backbone {name}")


def _trained(architecture: str) -> list[str]:
    return [str(name) for name in import_timm().models.list_pretrained(f"{architecture}.*")]


def _nearest(name: str, known: list[str]) -> str:
    near = name_the_nearest(name, known)
    few = len(known) <= 20 or near.startswith("did you mean")
    return near if few else "`distingo models` and `distingo models --pretrained` list all"


def read_settings(path: Path) -> BackboneSettings:
    """Read the ``config.json`` of a timm hub folder.

    Args:
        path: The file.

    Raises:
        ModelError: It is missing, damaged, not timm's, or asks for code that we would have to run.
    """
    content = _read_object(path)
    given = content.get("pretrained_cfg", content)
    if not isinstance(given, dict):
        raise ModelError(f"{path}: pretrained_cfg is no JSON object; take the folder from the hub again")
    _refuse_code(path, content, given)
    architecture = content.get("architecture")
    if not isinstance(architecture, str):
        raise ModelError(f"{path}: names no timm architecture; give a folder that timm saved for the hub")
    models = import_timm().models
    if not models.is_model(architecture):
        raise ModelError(
            f"{path}: timm knows no architecture {architecture!r}; {_nearest(architecture, models.list_models())}"
        )
    known = {field.name for field in fields(models.PretrainedCfg)}
    configuration = {name: value for name, value in given.items() if name in known}
    if "num_classes" in content:
        configuration["num_classes"] = content["num_classes"]
    arguments = content.get("model_args") or {}
    _check_arguments(path, arguments)
    kept = {name: value for name, value in arguments.items() if name not in _SET_BY_US}
    return _checked(BackboneSettings(architecture, configuration, kept), str(path))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; a hub folder holds config.json and model.safetensors") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: damaged or unreadable ({error}); take it from the hub again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: no JSON object; take it from the hub again")
    return content


def _refuse_code(path: Path, *levels: dict[str, Any]) -> None:
    """We run no code that comes with weights; a configuration that asks for it is refused as a whole."""
    for level in levels:
        for name in _ASKS_FOR_CODE:
            if level.get(name):
                raise ModelError(
                    f"{path}: asks for code of its own ({name}), which is never run; choose another backbone"
                )
        library = level.get("library_name")
        if library not in (None, "timm"):
            raise ModelError(f"{path}: belongs to the library {library!r}; only timm's backbones can be used")


def _check_arguments(path: Path, arguments: Any) -> None:
    names = set(arguments) if isinstance(arguments, dict) else {"model_args"}
    refused = sorted(name for name in names if name in _CREATION_OPTIONS or name.startswith("pretrained"))
    if refused or not isinstance(arguments, dict):
        raise ModelError(f"{path}: model_args may not hold {', '.join(refused or names)}; choose another backbone")


def _checked(settings: BackboneSettings, place: str) -> BackboneSettings:
    try:
        channels = int((settings.configuration.get("input_size") or (3,))[0])
        height, width = settings.input_size
        valid = len(settings.mean) == len(settings.std) == channels == 3
        valid = valid and min(height, width, *settings.std) > 0
    except (TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f"{place}: a damaged pretrained configuration ({error}); take it from the hub again"
        ) from error
    if not valid:
        raise ModelError(f"{place}: not for pictures of 3 channels; choose another backbone")
    return settings
