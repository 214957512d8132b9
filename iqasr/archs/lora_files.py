"""Files of adapters: several profiles of one base network, each a small ``.safetensors``."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from iqasr.archs.lora import add_low_rank, base_state, lora_layers
from iqasr.options.lora import is_derived
from iqasr.runtime.atomic_files import save_safetensors
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.weights import load_file, refuse_non_finite


@dataclass(frozen=True)
class Profile:
    """The adapters of a network.

    Attributes:
        name: What it is called in messages.
        base: `base_hashes` of the weights it was trained on.
        alpha: The correction of a weight is multiplied by ``alpha / rank``.
        adapters: :math:`A`, :math:`(r, I)`, and :math:`B`, :math:`(O, r)`, by name of layer.
    """

    name: str
    base: Sequence[str]
    alpha: float
    adapters: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, network: nn.Module, name: str) -> 'Profile':
        """Take the adapters of a network, not copied.

        Raises:
            ValueError: If it has none.
        """
        layers = lora_layers(network)
        if not layers:
            raise ValueError(f'{type(network).__name__} has no adapters to save.')
        return cls(
            name=name,
            base=base_hashes(base_state(network)),
            alpha=next(iter(layers.values())).lora_alpha,
            adapters={key: (m.lora_a.detach(), m.lora_b.detach()) for key, m in layers.items()},
        )

    def correct(self, layer: str, weight: Tensor, scale: float) -> Tensor:
        """Add the correction of a layer to its weight, in float32."""
        a, b = self.adapters[layer]
        added = add_low_rank(weight.float(), a.float(), b.float(), scale * self.alpha)
        return added.to(weight.dtype)

    def check_layers(self, weights: Mapping[str, Tensor]) -> None:
        """Look for the adapted layers in the weights of a network.

        Raises:
            CheckpointError: If a layer is missing or of another size.
        """
        for layer, (a, b) in self.adapters.items():
            weight = weights.get(f'{layer}.weight')
            if weight is None or (len(weight), weight[0].numel()) != (len(b), a.shape[1]):
                raise CheckpointError(
                    f"adapter '{self.name}' is of another network: its layer '{layer}' is "
                    f'{"missing" if weight is None else "of another size"} here. Check network_g.'
                )

    def check_base(self, base: Sequence[str]) -> None:
        """Compare the `base_hashes` of other weights with the profile's own.

        Raises:
            CheckpointError: If they differ.
        """
        if not is_same_base(self.base, base):
            raise CheckpointError(
                f"adapter '{self.name}' was trained on base weights {self.base[0][:8]}, these are "
                f'{base[0][:8]}. Give the file and the key (params or params_ema) it started from.'
            )


def base_hashes(weights: Mapping[str, Tensor]) -> list[str]:
    """Identify weights by their names, shapes and values, as their copies may hold them.

    A copy in half precision has the hash of the values rounded to it, a copy of that in full
    precision, too; an average of equal weights has +0 for -0. So weights are the same if they have
    one of these hashes in common; see `is_same_base`.

    Returns:
        SHA-256 in hexadecimal: of the values as float32, float16 and bfloat16, all without the sign
        of 0; last of the float32 with it, the only hash that earlier versions saved.
    """
    digests = [hashlib.sha256() for _ in range(4)]
    for key in sorted(key for key in weights if not is_derived(key)):
        signed = weights[key].detach().cpu().float().flatten()
        value = signed + 0.0  # -0.0 + 0.0 is +0.0
        header = f'{key} {tuple(weights[key].shape)}\n'.encode()
        # Rounded, a small negative number becomes -0.0 as well.
        forms = (value, value.half() + 0.0, value.bfloat16() + 0.0, signed)
        for digest, form in zip(digests, forms, strict=True):
            digest.update(header)
            digest.update(form.contiguous().view(torch.uint8).numpy().tobytes())
    return [digest.hexdigest() for digest in digests]


def is_same_base(first: Sequence[str] | str, second: Sequence[str] | str) -> bool:
    """Tell whether two `base_hashes` are of the same weights; either may be one hash, as before."""
    hashes = ({known} if isinstance(known, str) else set(known) for known in (first, second))
    return not set.isdisjoint(*hashes)


def save_lora(network: nn.Module, path: Path, name: str | None = None) -> None:
    """Save the adapters of a network, and which base they belong to.

    Args:
        network: Adapted network.
        path: ``.safetensors``; replaced only by a whole file.
        name: Name of the profile; that of the file if None.

    Raises:
        ValueError: If the network has no adapters.
        CheckpointError: If the file cannot be written.
    """
    profile = Profile.of(network, name or path.stem)
    tensors = {
        f'{layer}.{key}': value
        for layer, pair in profile.adapters.items()
        for key, value in zip(('lora_a', 'lora_b'), pair, strict=True)
    }
    about = {'name': profile.name, 'base': profile.base, 'alpha': profile.alpha}
    save_safetensors(tensors, path, {'iqasr_lora': json.dumps(about)})


def read_lora(path: str | Path) -> Profile:
    """Read what `save_lora` wrote.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds no adapters, or NaN among them.
    """
    path = Path(path).expanduser()
    tensors = load_file(path)
    about = {}
    if path.suffix == '.safetensors':
        with safe_open(path, 'pt') as file:
            about = json.loads((file.metadata() or {}).get('iqasr_lora', '{}'))
    if not about:
        raise CheckpointError(f'{path}: holds no adapters of iqasr (a .safetensors with lora_a).')
    refuse_non_finite(tensors, path)
    layers = [key.removesuffix('.lora_a') for key in tensors if key.endswith('.lora_a')]
    adapters = {k: (tensors[f'{k}.lora_a'], tensors[f'{k}.lora_b']) for k in layers}
    base = about['base']
    return Profile(**about | {'base': [base] if isinstance(base, str) else base}, adapters=adapters)


def merge_profiles(
    weights: Mapping[str, Tensor], profiles: Sequence[tuple[Profile, float]]
) -> dict[str, Tensor]:
    """Add profiles, each with its scale, to the weights of their base.

    Args:
        weights: State dict of the base; left untouched.
        profiles: Profiles and their scales; 0 leaves a profile out, 1 is as it was trained.

    Returns:
        State dict of a plain network.

    Raises:
        CheckpointError: If a profile does not belong to the weights.
    """
    merged, base = dict(weights), base_hashes(weights)
    for profile, scale in profiles:
        profile.check_layers(weights)
        profile.check_base(base)
        for layer in profile.adapters:
            merged[f'{layer}.weight'] = profile.correct(layer, merged[f'{layer}.weight'], scale)
    return merged
