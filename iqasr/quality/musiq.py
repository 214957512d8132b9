"""MUSIQ in less time: pyiqa's weights, the same scores.

Source:
    Ke, Wang, Wang, Milanfar and Yang (2021), MUSIQ: Multi-scale image quality transformer, in the
    form pyiqa gives it, whose module holds weights and settings. The computation is written here.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCHES_PER_PASS = 128
"""Patches that pass the stem together on a CPU, so that their features stay in the cache."""


class FastMUSIQ:
    """Scores as pyiqa's MUSIQ does in evaluation mode, with the weights of that module.

    Standardised filters are kept until the weights change. Images of a batch are of one size, so
    there is no padding, and attention needs no mask. The last block computes only the token that is
    scored. Gradients reach the image, not the weights.

    Args:
        network: pyiqa's module.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._filters: dict[str, tuple[tuple[int, int], Tensor]] = {}

    def __call__(self, image: Tensor) -> Tensor:
        """Score images.

        Args:
            image: :math:`(N, 3, H, W)` RGB in [0, 1].

        Returns:
            Scores as published, :math:`(N, 1)`.
        """
        with torch.inference_mode(not (torch.is_grad_enabled() and image.requires_grad)):
            return self._score(image)

    def _score(self, image: Tensor) -> Tensor:
        patches, embedding = self._patches(2 * image - 1)
        count = PATCHES_PER_PASS if image.device.type == 'cpu' else len(patches)
        tokens = torch.cat([self._stem(part) for part in patches.split(count)])
        tokens = tokens.unflatten(0, (len(image), -1)) + embedding
        encoder = self.network.transformer_encoder
        x = torch.cat([encoder.cls.expand(len(image), -1, -1), tokens], dim=1)
        *blocks, last = encoder.transformer.values()
        for block in blocks:
            x = apply_block(block, x, x.shape[1])
        x = apply_block(last, x, 1)
        shares = self.network.head(encoder.encoder_norm(x[:, 0]))
        points = torch.arange(1, shares.shape[1] + 1, dtype=shares.dtype, device=shares.device)
        return (shares * points).sum(1, keepdim=True)

    def _patches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Cut images into patches at all scales.

        Returns:
            :math:`(N L, 3, P, P)`, image by image, and what their places add to their tokens,
            :math:`(L, C)`.
        """
        settings, encoder = self.network.data_preprocess_opts, self.network.transformer_encoder
        size, limit = settings['patch_size'], settings['max_seq_len_from_original_res']
        scales = [resize(image, side) for side in sorted(settings['longer_side_lengths'])]
        scales += [] if limit is None else [image]
        patches, embeddings = [], []
        for number, scaled in enumerate(scales):
            last = limit if scaled is image and limit >= 0 else None
            patches.append(cut_patches(scaled, size)[:, :last])
            rows, columns = (math.ceil(side / size) for side in scaled.shape[2:])
            cells = grid_cells(rows, columns, settings['hse_grid_size'], image.device)
            embedding = encoder.posembed_input.position_emb[0, cells[:last]]
            if encoder.use_scale_emb:
                embedding = embedding + encoder.scaleembed_input.scale_emb[number]
            embeddings.append(embedding)
        return torch.cat(patches, dim=1).flatten(0, 1), torch.cat(embeddings)

    def _stem(self, patches: Tensor) -> Tensor:
        """Turn patches, :math:`(M, 3, P, P)`, into tokens, :math:`(M, C)`."""
        net, block = self.network, self.network.block1
        x = F.pad(patches, (2, 3, 2, 3)).contiguous(memory_format=torch.channels_last)
        x = normalise_groups(net.gn_root, F.conv2d(x, self._filter('conv_root'), stride=2))
        x = F.relu(F.max_pool2d(x, 3, 2, ceil_mode=True))
        y = F.conv2d(x, self._filter('block1.conv1'))
        y = F.conv2d(
            F.relu(normalise_groups(block.gn1, y)), self._filter('block1.conv2'), padding=1
        )
        y = F.conv2d(F.relu(normalise_groups(block.gn2, y)), self._filter('block1.conv3'))
        x = normalise_groups(block.gn_proj, F.conv2d(x, self._filter('block1.conv_proj')))
        x = F.relu(x + normalise_groups(block.gn3, y))
        return net.embedding(x.permute(0, 2, 3, 1).flatten(1))

    def _filter(self, name: str) -> Tensor:
        weight = self.network.get_submodule(name).weight
        state = weight.data_ptr(), weight._version
        if name not in self._filters or self._filters[name][0] != state:
            with torch.inference_mode(False), torch.no_grad():
                centred = weight - weight.mean((1, 2, 3), keepdim=True)
                kept = centred / (centred.std((1, 2, 3), keepdim=True) + 1e-5)
                kept = kept.contiguous(memory_format=torch.channels_last)
            self._filters[name] = state, kept
        return self._filters[name][1]


def resize(image: Tensor, longer_side: int) -> Tensor:
    """Resize images, :math:`(N, 3, H, W)`, to a longer side of `longer_side` pixels."""
    ratio = longer_side / max(image.shape[2:])
    shape = [round(side * ratio) for side in image.shape[2:]]
    return F.interpolate(image, shape, mode='bicubic', align_corners=False)


def cut_patches(image: Tensor, size: int) -> Tensor:
    """Cut images into squares, row by row, zeros around where sides are no multiple of `size`.

    Example:
        >>> cut_patches(torch.ones(2, 3, 40, 70), 32).shape
        torch.Size([2, 6, 3, 32, 32])
    """
    below, right = (-side % size for side in image.shape[2:])
    image = F.pad(image, (right // 2, right - right // 2, below // 2, below - below // 2))
    squares = image.unfold(2, size, size).unfold(3, size, size)
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


@lru_cache(maxsize=256)
def grid_cells(rows: int, columns: int, grid: int, device: torch.device) -> Tensor:
    """Find the cell of a square grid in which each patch lies, both row by row.

    Example:
        >>> grid_cells(1, 4, 2, torch.device('cpu'))
        tensor([0, 0, 1, 1])
    """
    # The rounding of nearest neighbours is interpolate's, as in pyiqa.
    cells = torch.arange(grid).float().view(1, 1, -1)
    row, column = (F.interpolate(cells, n, mode='nearest').long()[0, 0] for n in (rows, columns))
    return (grid * row[:, None] + column).flatten().to(device, non_blocking=True)


def normalise_groups(layer: nn.GroupNorm, x: Tensor) -> Tensor:
    """Apply a group normalisation to channels-last features, which torch does slowly on a CPU."""
    x = x.permute(0, 2, 3, 1)
    groups = len(x), layer.num_groups, -1
    mean, power = (v.mean((1, 2)).view(groups).mean(2, keepdim=True) for v in (x, x.square()))
    variance = (power - mean.square()).clamp(min=0)
    scale = layer.weight.view(groups[1:]) * (variance + layer.eps).rsqrt()
    shift = layer.bias.view(groups[1:]) - mean * scale
    scale, shift = (v.view(len(x), 1, 1, -1) for v in (scale, shift))
    return torch.addcmul(shift, x, scale).permute(0, 3, 1, 2)


def apply_block(block: nn.Module, x: Tensor, count: int) -> Tensor:
    """Apply a block to the first `count` of the tokens, :math:`(N, L, C)`, which attend to all."""
    attention, y = block.attention, block.norm1(x)
    tokens = attention.query(y[:, :count]), attention.key(y), attention.value(y)
    heads = (t.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for t in tokens)
    y = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    x = x[:, :count] + attention.out(y)
    return x + block.mlp(block.norm2(x))
