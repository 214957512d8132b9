import torch
from torch import nn

from iqasr.models.restorer import Restorer
from iqasr.models.self_ensemble import restore_in_views


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))


@torch.no_grad()
def test_mean_is_that_of_the_turned_and_mirrored_images():
    restore, lq = network(), torch.rand(2, 3, 6, 9)
    expected = []
    for turns in range(4):
        for mirrored in (False, True):
            view = torch.rot90(lq.flip(-1) if mirrored else lq, turns, (-2, -1))
            output = torch.rot90(restore(view), -turns, (-2, -1))
            expected.append(output.flip(-1) if mirrored else output)
    found = restore_in_views(restore, lq)
    torch.testing.assert_close(found, torch.stack(expected).mean(0))
    assert (found - restore(lq)).abs().mean() > 0.01
    # The mean turns with the image, as the network by itself does not.
    torch.testing.assert_close(restore_in_views(restore, lq.mT), found.mT)


def test_restorer_takes_it_in_tiles_as_in_the_whole():
    restore, lq = network(), torch.rand(1, 3, 11, 14)
    whole = Restorer(2, self_ensemble=True)(restore, lq)
    tiled = Restorer(2, tile_px=5, tile_overlap_px=1, self_ensemble=True)(restore, lq)
    torch.testing.assert_close(whole, restore_in_views(restore, lq))
    torch.testing.assert_close(tiled, whole)
    assert not torch.allclose(Restorer(2)(restore, lq), whole)
