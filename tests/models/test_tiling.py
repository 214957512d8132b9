"""Tiled inference against that of the whole image."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from iqasr.models.tiling import restore_tiled

SIZES = [(37, 53), (16, 16), (5, 40), (3, 4)]


class SeesFour(nn.Module):
    """Four 3 x 3 convolutions, then pixel shuffle: sees 4 px of the input each way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise([3, 8, 8, 8, 48])]
        self.network = nn.Sequential(*layers, nn.PixelShuffle(4))

    @torch.no_grad()
    def forward(self, lq):
        return 0.5 + 3 * self.network(lq)


def tiled(network, lq, overlap):
    return restore_tiled(network, lq, scale=4, tile_px=11, overlap_px=overlap)


def test_batches_of_tiles_give_the_same():
    network, lq, calls = SeesFour(), torch.rand(2, 3, 37, 53), []

    def counting(tiles):
        calls.append(len(tiles) // 2)
        return network(tiles)

    found = restore_tiled(counting, lq, scale=4, tile_px=11, overlap_px=4, batch=2)
    torch.testing.assert_close(found, network(lq), atol=1e-5, rtol=0)
    assert calls == [1, 2, 1, 1] * 4  # the tiles of a row: left edge, three inside, right edge


@pytest.mark.parametrize('overlap', [4, 6])
@pytest.mark.parametrize('size', SIZES)
def test_tiles_equal_the_whole_where_the_overlap_covers_what_is_seen(size, overlap):
    network, lq = SeesFour(), torch.rand(2, 3, *size)
    whole, found = network(lq), tiled(network, lq, overlap)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    assert (255 * whole.clamp(0, 1)).std() > 5


def test_less_overlap_shows_seams():
    network, lq = SeesFour(), torch.rand(1, 3, 37, 53)
    differing = (tiled(network, lq, 3) - network(lq)).abs() > 1e-4
    columns = differing.any(dim=(0, 1, 2)).nonzero().flatten() // 4
    assert set(columns.tolist()) == set(range(53))  # somewhere in each, by the seams between rows
    rows_inside = differing[..., 4:36, :].any(dim=(0, 1, 2)).nonzero().flatten() // 4
    assert set(rows_inside.tolist()) == {10, 11, 21, 22, 32, 33, 43, 44}


def test_network_never_sees_more_than_tile_and_overlap():
    seen = []

    def network(lq):
        seen.append(tuple(lq.shape[2:]))
        return lq.repeat_interleave(4, -1).repeat_interleave(4, -2)

    lq = torch.rand(1, 3, 37, 53)
    assert torch.equal(tiled(network, lq, 3), network(lq))
    assert max(seen[:-1]) == (17, 17)
