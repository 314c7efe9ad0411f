"""What may be said to timm about an architecture by a file from anywhere: names and arguments that only shape it.

timm's ``create_model`` would also fetch (``hf-hub:``), read folders (``local-dir:``) and unpickle checkpoints
(``checkpoint_path``, ``pretrained``); none of this can be reached with what passes here.
"""

from __future__ import annotations

import re
from typing import Any

from distingo.errors import ModelError, quote
from distingo.models.timm_import import import_timm

_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
_TEXT = re.compile(r"[A-Za-z0-9_.+-]{0,50}")
_MOST = 65_536
_DEEPEST = 4
_LONGEST = 100
_MOST_BLOCKS = 256
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
"""Arguments that say how often something is built, one after another; timm's own add up to 139 at most."""

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
"""Arguments of constructors that say how wide, deep or joined the layers are."""


def check_architecture(architecture: str, arguments: dict[str, Any]) -> None:
    """Refuse what is no architecture that timm knows, or does more than shape it.

    Args:
        architecture: timm's name, without tag.
        arguments: For its constructor, JSON values.

    Raises:
        ModelError: Says the first fault, in one line.
    """
    if not isinstance(architecture, str) or not _NAME.fullmatch(architecture):
        raise ModelError(f"{quote(architecture)} is no name of an architecture; names have letters, digits and _")
    if not import_timm().models.is_model(architecture):
        raise ModelError(f"timm knows no architecture {architecture!r}; `distingo models --pretrained` lists all")
    for name, value in arguments.items():
        if name not in ARGUMENTS:
            raise ModelError(f"{architecture}: argument {quote(name)} is not one that only shapes layers; leave it out")
        most = _BOUNDS.get(name, _MOST)
        if not _is_harmless(value, most):
            allowed = f"give numbers up to {most:,}, short names or lists of up to {_LONGEST}"
            raise ModelError(f"{architecture}: argument {name} is {quote(value)}; {allowed}")
        if name in _COUNTS_OF_BLOCKS and _add_up(value) > _MOST_BLOCKS:
            allowed = f"give at most {_MOST_BLOCKS} in all"
            raise ModelError(f"{architecture}: argument {name} is {quote(value)}; {allowed}")


def _add_up(value: Any) -> float:
    """All numbers of a harmless value, of each its size."""
    if isinstance(value, list | tuple):
        return sum(_add_up(entry) for entry in value)
    return abs(value) if isinstance(value, int | float) else 0


def _is_harmless(value: Any, most: float, depth: int = 0) -> bool:
    if isinstance(value, list | tuple):
        few = depth < _DEEPEST and len(value) <= _LONGEST
        return few and all(_is_harmless(entry, most, depth + 1) for entry in value)
    if isinstance(value, str):
        return bool(_TEXT.fullmatch(value))
    if isinstance(value, bool) or value is None:
        return True
    return isinstance(value, int | float) and abs(value) <= most
