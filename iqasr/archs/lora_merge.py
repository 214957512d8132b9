"""Merge adapters into the weights of their base."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from iqasr.archs.lora_files import Profile, base_hash


def merge_profiles(
    weights: Mapping[str, Tensor],
    profiles: Sequence[tuple[Profile, float]],
    *,
    strict: bool = True,
) -> dict[str, Tensor]:
    """Add profiles, each with its scale, to the weights of their base.

    Args:
        weights: State dict of the base; left untouched.
        profiles: Profiles and their scales; 0 leaves a profile out, 1 is as it was trained.
        strict: Refuse profiles of other base weights, instead of saying so.

    Returns:
        State dict of a plain network.

    Raises:
        CheckpointError: If a profile does not belong to the weights.
    """
    merged, base = dict(weights), base_hash(weights)
    for profile, scale in profiles:
        profile.check_layers(weights)
        profile.check_base(base, strict=strict)
        for layer in profile.adapters:
            merged[f'{layer}.weight'] = profile.correct(layer, merged[f'{layer}.weight'], scale)
    return merged
