"""Merge files of adapters into the weights of their base."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from iqasr.archs.lora_files import Profile, base_hash, read_lora
from iqasr.checkpoint import load_file, parameters_in, save_atomically, save_safetensors


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


def write_merged(
    base: str | Path,
    adapters: Sequence[str | Path],
    output: str | Path,
    *,
    weights: Sequence[float] | None = None,
    key: str = 'params_ema',
    scales: Sequence[float] = (1.0,),
) -> list[Path]:
    """Merge files of adapters into a file of weights.

    Args:
        base: Weights the adapters were trained on.
        adapters: Files of adapters.
        output: ``<name>.pth``, in BasicSR's form, or ``<name>.safetensors``.
        weights: Weight of each file in their sum; None for 1.
        key: ``params`` or ``params_ema`` of `base`.
        scales: Factors of the sum; each gets a file, ``<name>_s<scale>``.

    Returns:
        The files.

    Raises:
        ValueError: If there is not one weight for each file.
        CheckpointError: If a file cannot be read or written, or does not belong to the base.
    """
    factors = [1.0] * len(adapters) if weights is None else weights
    if len(factors) != len(adapters):
        raise ValueError(f'{len(factors)} weights for {len(adapters)} adapters; give one for each.')
    base_weights, output = parameters_in(load_file(base), key, base), Path(output)
    profiles = [(read_lora(path), factor) for path, factor in zip(adapters, factors, strict=True)]
    output.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for scale in scales:
        scaled = [(profile, scale * factor) for profile, factor in profiles]
        merged = merge_profiles(base_weights, scaled)
        path = output.with_name(f'{output.stem}_s{scale:g}{output.suffix}')
        if path.suffix == '.safetensors':
            save_safetensors(merged, path)
        else:
            save_atomically({'params_ema': merged}, path)
        written.append(path)
    return written
