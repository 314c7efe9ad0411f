"""timm's architectures: imported quickly, checked, built without weights, and measured.

An untrusted file may name an architecture and arguments that only shape it. timm's ``create_model`` would also download
(``hf-hub:``), read folders (``local-dir:``) and unpickle checkpoints (``checkpoint_path``, ``pretrained``); the checks
here prevent all of this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distingo.errors import DistingoError, ModelError, first_line, quote
from distingo.machine.process import compiler_on_demand, without_fresh_weights, without_values


def import_timm() -> Any:
    """The module ``timm``, with ``timm.models``."""
    with compiler_on_demand():
        import timm

    return timm


_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")

_TEXT = re.compile(r"[A-Za-z0-9_.+-]{0,50}")

_MAX_VALUE = 65_536

_MAX_DEPTH = 4

_MAX_LENGTH = 100

_MAX_BLOCKS = 256

_COUNTING = """
depth depths focal_levels global_block_counts layers num_blocks num_blocks_list num_levels num_vit parallel_depth
serial_depths
"""

_MULTIPLYING = """
attn_pool_mlp_ratio attn_ratio bottle_ratio channel_multiplier depth_mult downsample_ratio expand_groups expand_ratio
expansion_ratio ffn_ratio mlp_ratio mlp_ratios se_ratio stem_expand_ratio widen_factor width width_factor width_mult
window_ratio
"""

_WINDOWS = "pretrained_window_sizes window_size window_sizes"

_IMAGES = "img_size pos_embed_grid_size ref_feat_shape"

_COUNTS_OF_BLOCKS = frozenset(_COUNTING.split())
"""Arguments that set how often a layer is repeated; timm's own add up to 139 at most."""

_BOUNDS = {
    **dict.fromkeys([*_MULTIPLYING.split(), *_WINDOWS.split()], 64),
    **dict.fromkeys(_IMAGES.split(), 8192),
}
"""The largest value of arguments that are multiplied with others, or that timm counts up to in Python: at least twice
timm's own, and for images what the schemas allow."""

_SHAPING = """
aa_layer aa_stem_only act_layer attn_drop_rate attn_layer attn_pool_mlp_ratio attn_pool_num_heads attn_ratio
attn_type avg_down base_dim base_dims base_width block_reduce_first bn_eps bn_momentum bn_size bottle_ratio
cardinality ch_div channel_multiplier channels class_token conv_bias conv_mlp depth depth_mult depths dims distilled
down_kernel_size down_pad down_patch_size down_stride downsample_kernel_size downsample_padding downsample_ratio
drop_block_rate drop_block_size drop_path_rate drop_rate dynamic_img_pad dynamic_img_size embed_dim embed_dims
embed_norm expand_groups expand_ratio expansion_ratio fc_norm ffn_ratio final_norm first_stride fix_init fix_stem
focal_levels focal_windows global_block_counts global_pool groups growth_rate head_bias head_dim head_fn
head_hidden_size head_init_scale head_norm_first hidden_size hidden_sizes img_size init_channels init_values
initial_chs inner_dim intermediate_size kernel_size kernel_sizes key_dim layer_scale layer_scale_init_value
layer_scale_init_values layers legacy ls_init_value mask_unit_attn mask_unit_size mlp_act mlp_bias mlp_layer
mlp_ratio mlp_ratios neck_chans no_embed_class norm_eps norm_layer norm_layers num_blocks num_blocks_list
num_features num_heads num_heads_inner num_heads_outer num_init_features num_kv_heads num_levels num_reg_tokens
num_vit out_indices output_stride pad_type parallel_depth partial_dim patch_drop_rate patch_kernel patch_norm
patch_padding patch_size patch_sizes patch_stride pool_size pool_type pos_drop_rate pos_embed pos_embed_grid_size
position_embedding_size pre_norm pretrained_window_sizes proj_bias proj_drop_rate q_pool q_stride qk_dim qk_norm
qkv_bias qkv_fused ref_feat_shape reg_tokens rel_pos_dim rel_pos_type rope_grid_indexing rope_grid_offset
rope_rotate_half rope_temperature rope_theta rope_type round_chs_fn scale_attn_inner scale_attn_norm scale_mlp
scale_mlp_norm se_downsamples se_layer se_ratio serial_depths shared_rel_pos small sr_ratios stem_bias stem_chs
stem_expand_ratio stem_hidden_dim stem_kernel_size stem_mid_norm stem_norm stem_size stem_stride stem_type
stem_width strict_img_size stride strides swiglu_align_to swiglu_mlp use_abs_pos use_abs_pos_emb use_conv
use_fc_norm use_grn use_layer_scale use_pos_embed use_post_norm use_post_norm_in_modulation
use_post_transformer_norm use_pre_transformer_norm use_rel_pos use_rel_pos_bias use_rope use_rot_pos_emb v2
weight_init widen_factor width width_factor width_mult widths window_ratio window_size window_sizes zero_init_last
"""

ARGUMENTS = frozenset(_SHAPING.split())
"""Constructor arguments that set the width, depth and connections of layers."""


def check_architecture(architecture: str, arguments: Mapping[str, Any]) -> None:
    """Raise an error for an unknown architecture, or for arguments that do more than shape it.

    Args:
        architecture: timm's name, without tag.
        arguments: Constructor arguments, as JSON values.

    Raises:
        ModelError: The message describes the first error in one line.
    """
    if not isinstance(architecture, str) or not _NAME.fullmatch(architecture):
        raise ModelError(
            f"{quote(architecture)} is no name of an architecture; names have letters, digits and _",
            code="invalid_name",
        )
    if not import_timm().models.is_model(architecture):
        raise ModelError(
            f"timm knows no architecture {architecture!r}; `distingo models --pretrained` lists all",
            code="unknown_name",
            parameter="model",
        )
    for name, value in arguments.items():
        if name not in ARGUMENTS:
            raise ModelError(
                f"{architecture}: argument {quote(name)} is not one that only shapes layers; leave it out",
                code="forbidden_argument",
            )
        limit = _BOUNDS.get(name, _MAX_VALUE)
        if not _is_harmless(value, limit):
            allowed = f"give numbers up to {limit:,}, short names or lists of up to {_MAX_LENGTH}"
            raise ModelError(f"{architecture}: argument {name} is {quote(value)}; {allowed}", code="forbidden_argument")
        if name in _COUNTS_OF_BLOCKS and _sum_absolute(value) > _MAX_BLOCKS:
            allowed = f"give at most {_MAX_BLOCKS} in all"
            raise ModelError(f"{architecture}: argument {name} is {quote(value)}; {allowed}", code="forbidden_argument")


def _sum_absolute(value: Any) -> float:
    """Sum the absolute values of all numbers in a value."""
    if isinstance(value, list | tuple):
        return sum(_sum_absolute(entry) for entry in value)
    return abs(value) if isinstance(value, int | float) else 0


def _is_harmless(value: Any, limit: float, depth: int = 0) -> bool:
    if isinstance(value, list | tuple):
        is_short = depth < _MAX_DEPTH and len(value) <= _MAX_LENGTH
        return is_short and all(_is_harmless(entry, limit, depth + 1) for entry in value)
    if isinstance(value, str):
        return bool(_TEXT.fullmatch(value))
    if isinstance(value, bool) or value is None:
        return True
    return isinstance(value, int | float) and abs(value) <= limit


_TRIES = 4

_MAX_PARAMETERS = 1 << 34
"""Largest number of modules, twice as many as in timm's largest architecture."""

_SMALL = 1 << 28
"""Number of values that fit into any machine's memory."""

_MAX_CALLS = 100_000
"""Of torch's functions while an architecture is built: timm's own take 20,000 at most."""

_QUICK = 10e6 * 224 * 224
"""Up to so many parameters times pixels a pass with values is sooner done than torch has imported what it takes to
make one without (0.3 s)."""


@dataclass(frozen=True, slots=True)
class ArchitectureSize:
    """Measured properties of an architecture.

    Attributes:
        features: Width of the pooled output.
        parameters: Number of parameters without the classifier.
    """

    features: int
    parameters: int


def create_architecture(
    architecture: str, arguments: Mapping[str, Any], *, classes: int = 0, **loading: Any
) -> nn.Module:
    """Build an architecture with timm.

    Args:
        architecture: timm's name.
        arguments: For its constructor, JSON values.
        classes: Outputs of a classifier; 0 for pooled features.
        **loading: timm's options for pretrained weights; none are loaded without them.

    Returns:
        A module from normalized float (n, 3, height, width) to (n, features) or (n, classes).

    Raises:
        ModelError: The architecture is unknown to timm, an argument does more than shape it, or it is too large to
            build.
        Exception: Whatever the architecture's own code raises on arguments that it refuses.
    """
    check_architecture(architecture, arguments)
    create = import_timm().create_model
    values = {
        name: tuple(value) if name == "img_size" and isinstance(value, list) else value
        for name, value in arguments.items()
    }
    with _bounded(architecture):
        module: nn.Module = create(architecture, num_classes=classes, in_chans=3, **values, **loading)
    return module


def _bounded(architecture: str) -> AbstractContextManager[Any]:
    """Context manager that limits the size of what is built, since allowed arguments may multiply."""
    from torch.overrides import TorchFunctionMode

    class CallCounter(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += 1
            if self.calls > _MAX_CALLS:
                raise ModelError(
                    f"{architecture}: its arguments make it larger than any of timm's; leave them out",
                    code="too_large_model",
                )
            return function(*args, **(kwargs or {}))

    return CallCounter()


def measure_architecture(architecture: str, arguments: Mapping[str, Any], height: int, width: int) -> ArchitectureSize:
    """Measure the pooled output's width at an image size by a forward pass; large ones run without values.

    timm's own ``num_features`` is another number where a hidden layer follows the pooling (MobileNetV3, VGG).

    Args:
        architecture: timm's name.
        arguments: For its constructor, without ``img_size``, unless it is fixed at creation.
        height: In pixels.
        width: In pixels.

    Raises:
        ModelError: The backbone does not support the size (the message lists sizes that work), or has no pooled output.
    """
    reason = _measure_or_explain(architecture, arguments, height, width)
    if isinstance(reason, ArchitectureSize):
        return reason
    works = _sizes_that_work(architecture, arguments, height, width)
    if not works:
        raise ModelError(f"{architecture}: can't be used ({reason}); choose another backbone", code="unsupported_model")
    raise ModelError(
        f"{architecture}: refuses pictures of {height}x{width} ({reason}); sizes that work are {works}",
        code="unsupported_image_size",
    )


def require_room(module: nn.Module, stored: int) -> None:
    """Raise an error if an architecture needs far more memory than its weights file.

    Args:
        module: Module without values.
        stored: Number of values in the weights file.

    Raises:
        ValueError: It has more than four times as many (position tables may be made larger) and more than a machine has
            room for, or so many entries in tables that it computes itself.
    """
    for what, tensors in (("parameters", module.parameters()), ("entries in tables", module.buffers())):
        count = sum(tensor.numel() for tensor in tensors)
        if count > max(4 * stored, _SMALL):
            raise ValueError(f"it has {count:,} {what} for {stored:,} stored numbers")


def count_parameters(architecture: str, arguments: Mapping[str, Any]) -> int:
    """Count an architecture's parameters without the classifier, without allocating memory for them."""
    with without_values():
        module = create_architecture(architecture, arguments)
    return sum(parameter.numel() for parameter in module.parameters())


def _measure_or_explain(
    architecture: str, arguments: Mapping[str, Any], height: int, width: int
) -> ArchitectureSize | str:
    """Measure the architecture at this size, or return the reason why it does not support it."""
    try:
        return _measure(architecture, arguments, height, width)
    except DistingoError:
        raise
    except Exception as error:  # an architecture's code may raise any exception for unsupported arguments and sizes
        return first_line(error)


def _measure(architecture: str, arguments: Mapping[str, Any], height: int, width: int) -> ArchitectureSize:
    with without_values():
        module = create_architecture(architecture, arguments).eval()
    _check_grid(module, height, width)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    if parameters > _MAX_PARAMETERS:
        raise ModelError(
            f"{architecture}: its arguments give it {parameters:,} parameters; leave them out", code="too_large_model"
        )
    if parameters * height * width <= _QUICK:
        return ArchitectureSize(_pass_with_values(architecture, arguments, height, width), parameters)
    try:
        with without_values():
            return ArchitectureSize(_pass(module, height, width), parameters)
    except RuntimeError:  # of a refusal, and of an operation that needs values; a pass that has them tells which
        return ArchitectureSize(_pass_with_values(architecture, arguments, height, width), parameters)


def _check_grid(module: nn.Module, height: int, width: int) -> None:
    step, smallest = _grid(module)
    if height % step or width % step:
        raise ValueError(f"its patches are {step} pixels wide")
    if min(height, width) < smallest:
        raise ValueError(f"it divides a side by {smallest}")


def _pass_with_values(architecture: str, arguments: Mapping[str, Any], height: int, width: int) -> int:
    with without_fresh_weights():
        module = create_architecture(architecture, arguments).eval()
    return _pass(module, height, width)


def _pass(module: nn.Module, height: int, width: int) -> int:
    """Return the width of the module's output."""
    with torch.inference_mode():
        output = module(torch.zeros(1, 3, height, width))
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ValueError("it gives no pooled vector")
    return int(output.shape[1])


def _grid(module: nn.Module) -> tuple[int, int]:
    """Return the patch size that sizes must be a multiple of, and the stride, their minimum."""
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None) or 1
    step = max(patch) if isinstance(patch, tuple | list) else int(patch)
    levels = getattr(module, "feature_info", None) or []
    try:
        smallest = max((int(level["reduction"]) for level in levels), default=1)
    except (TypeError, KeyError, AttributeError):
        smallest = 1
    return step, max(step, smallest)


def _sizes_that_work(architecture: str, arguments: Mapping[str, Any], height: int, width: int) -> str:
    """Return text that lists supported square sizes near the requested one; empty if there are none."""
    try:
        with without_values():
            step, smallest = _grid(create_architecture(architecture, {**arguments, **_without_size(arguments)}))
    except DistingoError:
        raise
    except Exception:  # the size is not the problem
        return ""
    spacing = max(step, smallest)
    middle = round(max(height, width, smallest) / spacing)
    around = sorted({number * spacing for number in range(max(1, middle - 1), middle + _TRIES)})
    good = [side for side in around if _works(architecture, arguments, side)]
    return ", ".join(str(side) for side in good[:_TRIES])


def _without_size(arguments: Mapping[str, Any]) -> dict[str, object]:
    """Remove a size that is fixed at creation, so that timm's default is used."""
    return {"img_size": (224, 224)} if "img_size" in arguments else {}


def _works(architecture: str, arguments: Mapping[str, Any], side: int) -> bool:
    sized = {**arguments, "img_size": [side, side]} if "img_size" in arguments else arguments
    return isinstance(_measure_or_explain(architecture, sized, side, side), ArchitectureSize)
