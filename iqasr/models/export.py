"""From checkpoints and adapters to files that others load: weights, merged, blended; or ONNX."""

import importlib.util
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from iqasr.archs.lora_files import merge_profiles, read_lora
from iqasr.archs.sizes import require_sizes, sizes_of
from iqasr.archs.spandrel_networks import differs_when_reloaded, network_of
from iqasr.checking.check import load_options
from iqasr.compat import quiet_onnx_export
from iqasr.models.networks import locate_network
from iqasr.options.file import read_yaml
from iqasr.options.sections import RECOGNISED
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.runtime.atomic_files import save_atomically, save_safetensors, write_bytes_atomically
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.textures import random_texture
from iqasr.runtime.weights import load_file, parameters_in, refuse_non_finite

logger = logging.getLogger('iqasr')

SIZES = ((48, 80), (64, 64), (96, 32))
"""Heights and widths of the inputs on which ONNX is compared with torch; padded where needed. The
first, on which it is traced, is not square, as no network is trained: of the size of its training,
SwinIR and others take masks that they keep, which would be those of every size."""

TOLERANCE = 1e-4
"""How far the two may differ, on a texture: noise makes SPAN's output of pictures, about 1, 200."""

SILENT = 4
"""Severity from which onnxruntime writes to the terminal; what it raises says the same."""


def export(
    source: str | Path,
    output: str | Path,
    *,
    key: str = 'params_ema',
    adapters: Sequence[str | Path] = (),
    adapter_weights: Sequence[float] | None = None,
    scales: Sequence[float] = (1.0,),
    other: str | Path | None = None,
    alphas: Sequence[float] = (0.5,),
    option_file: str | Path | None = None,
    size: tuple[int, int] | None = None,
) -> list[Path]:
    """Write weights as others load them.

    Args:
        source: Weights, ``.pth`` or ``.safetensors``, or their name, or the folder of a run.
        output: ``<name>.pth`` (BasicSR's form), ``.safetensors`` or ``.onnx``. Several results are
            written as ``<name>_a<alpha>_s<scale>``.
        key: ``params_ema``, the averaged weights, or ``params``, those of the last step.
        adapters: Files of adapters that were trained on `source`, to merge.
        adapter_weights: Weight of each file in their sum; None for 1.
        scales: Factors of the sum of the adapters; a result for each.
        other: Weights of the same network to blend with, likewise.
        alphas: Share of `other` in the blend; a result for each.
        option_file: Says what the network is; None to recognise it from its weights.
        size: Height and width of the only input that an ``.onnx`` takes; None for any size.

    Returns:
        The files.

    Raises:
        ValueError: If the arguments do not fit together, or the network is not recognised.
        CheckpointError: If a file cannot be read or written, or does not belong to the others.
    """
    output = Path(output)
    if output.suffix not in ('.pth', '.safetensors', '.onnx'):
        raise ValueError(f'{output}: write .pth, .safetensors or .onnx.')
    if size is not None and output.suffix != '.onnx':
        raise ValueError(f'{output}: takes any size; only .onnx can be made for one (--size).')
    source = locate_network(source)
    results = {'': parameters_in(load_file(source), key, source)}
    if adapters or adapter_weights:
        results = adapted(results[''], adapters, adapter_weights, scales)
    if other is not None:
        second = parameters_in(load_file(locate_network(other)), key, other)
        results = {
            f'_a{alpha:g}{name}': interpolate(weights, second, alpha)
            for name, weights in results.items()
            for alpha in alphas
        }
    output.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for name, weights in results.items():
        path = output.with_stem(output.stem + name) if len(results) > 1 else output
        write_weights(weights, path, key, source, option_file, size)
        written.append(path)
    return written


def adapted(
    base: Mapping[str, Tensor],
    adapters: Sequence[str | Path],
    adapter_weights: Sequence[float] | None,
    scales: Sequence[float],
) -> dict[str, dict[str, Tensor]]:
    """Merge adapters into weights at several scales; results by suffix. See `export`."""
    factors = [1.0] * len(adapters) if adapter_weights is None else adapter_weights
    if len(factors) != len(adapters):
        raise ValueError(f'{len(factors)} weights for {len(adapters)} adapters; give one for each.')
    profiles = [(read_lora(path), factor) for path, factor in zip(adapters, factors, strict=True)]
    return {
        f'_s{scale:g}': merge_profiles(base, [(p, scale * factor) for p, factor in profiles])
        for scale in scales
    }


def interpolate(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """Blend the weights of two networks of the same architecture.

    Source:
        Wang et al. (2018), ESRGAN, section 3.4.

    Args:
        first: State dict.
        second: State dict of the same names and shapes.
        alpha: Share of `second`: 0 gives `first`, 1 gives `second`; beyond, it extrapolates.

    Raises:
        CheckpointError: If they are of different networks.
    """
    shapes = [{k: tuple(v.shape) for k, v in w.items()} for w in (first, second)]
    if shapes[0] != shapes[1]:
        names = shapes[0].keys() | shapes[1].keys()
        differing = sorted(k for k in names if shapes[0].get(k) != shapes[1].get(k))
        raise CheckpointError(
            f'the weights to blend are of different networks: {len(differing)} differ, such as '
            f'{differing[0]}.'
        )
    blended = {k: v.lerp(second[k], alpha) for k, v in first.items() if v.is_floating_point()}
    return {**first, **blended}


def write_weights(
    weights: Mapping[str, Tensor],
    path: Path,
    key: str,
    source: str | Path,
    option_file: str | Path | None,
    size: tuple[int, int] | None,
) -> None:
    """Write one result, and say if another program would read another network from it."""
    refuse_non_finite(weights, path)
    if path.suffix == '.onnx':
        write_onnx(network_for(weights, source, option_file), path, size)
        return
    if path.suffix == '.safetensors':
        save_safetensors(weights, path)
    else:
        save_atomically({key: dict(weights)}, path)
    try:
        network = network_for(weights, source, option_file).eval()
        difference = differs_when_reloaded(network, draw_input(network, (32, 32)))
    except ValueError as error:
        logger.warning('%s is written, but cannot be checked: %s', path, error)
        return
    if difference is not None:
        logger.warning('%s: programs that recognise networks misread it: %s.', path, difference)


def network_for(
    weights: Mapping[str, Tensor], source: str | Path, option_file: str | Path | None
) -> nn.Module:
    """Make the network of weights, from an option file or as it is recognised.

    Raises:
        ValueError: If it is not recognised.
        CheckpointError: If the option file is of another network.
    """
    section = RECOGNISED
    if option_file is not None:
        phase = 'train' if 'train' in read_yaml(option_file) else 'test'
        section = load_options(option_file, phase=phase).network_g
    if section == RECOGNISED:
        return network_of(weights, source)[0]
    network = build(ARCH_REGISTRY, section)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f'{source}: not the network of {option_file}: {error}') from error
    require_sizes(network, section)
    return network


def draw_input(network: nn.Module, size: tuple[int, int]) -> Tensor:
    """Draw an input that a network takes, of at least a size."""
    rows, columns = sizes_of(network).padding(*size)
    return random_texture(size[0] + rows, size[1] + columns)


@torch.no_grad()
def write_onnx(network: nn.Module, path: Path, size: tuple[int, int] | None = None) -> None:
    """Write a network as ONNX, and compare it with torch.

    Args:
        network: From ``lq``, :math:`(1, 3, H, W)` RGB in [0, 1], to ``output``,
            :math:`(1, 3, sH, sW)`, not clamped.
        path: ``.onnx``; written only if the comparison holds.
        size: Height and width of the one image that it takes; None for images of any size.

    Raises:
        ValueError: If the network does not take the size.
        CheckpointError: If ONNX is not installed, or cannot express the network.
    """
    absent = [m for m in ('onnx', 'onnxruntime') if importlib.util.find_spec(m) is None]
    if absent:
        raise CheckpointError(f"ONNX needs {' and '.join(absent)}: pip install 'iqasr[export]'.")
    import onnxruntime

    name, network = type(network).__name__, network.eval().requires_grad_(False)
    sizes, free = SIZES, {0: 'n', 2: 'h', 3: 'w'}
    which, advice = 'any size', 'Make one for a single size (--size H W), or write'
    if size is not None:
        sizes, free, which, advice = (size,), {}, f'{size[0]} x {size[1]} px', 'Write'
        if min(size) < 1:
            raise ValueError(f'--size: {which}: give at least 1 px.')
        if any(sizes_of(network).padding(*size)):
            raise ValueError(f'--size: {which}: {name} takes inputs of {sizes_of(network)}.')
    content, session_options = io.BytesIO(), onnxruntime.SessionOptions()
    session_options.log_severity_level = SILENT
    try:
        with warnings.catch_warnings(), quiet_onnx_export():
            warnings.simplefilter('ignore')
            # The exporter by torch.export takes ten times as long, and crashes on SPAN.
            torch.onnx.export(
                network, (draw_input(network, sizes[0]),), content, dynamo=False,
                input_names=['lq'], output_names=['output'],
                dynamic_axes={'lq': free, 'output': free}, opset_version=17,
            )  # fmt: skip
        session = onnxruntime.InferenceSession(content.getvalue(), session_options)
        for height, width in sizes:
            lq = draw_input(network, (height, width))
            (output,) = session.run(None, {'lq': lq.numpy()})
            error = (torch.from_numpy(output) - network(lq)).abs().max().item()
            if not error <= TOLERANCE:
                raise RuntimeError(f'at {height} x {width} it differs by {error:.1e}')
    except Exception as error:
        reason = str(error).split('\n')[0][:200]
        raise CheckpointError(
            f'{path}: {name} cannot be written as ONNX for images of {which} ({reason}). '
            f'{advice} .pth or .safetensors.'
        ) from error
    write_bytes_atomically(content.getvalue(), path)
