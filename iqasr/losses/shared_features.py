"""Features of a frozen network that several terms compare, computed once for each image."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from basicsr.archs.vgg_arch import VGGFeatureExtractor
from basicsr.losses.basic_loss import PerceptualLoss
from torch import Tensor, is_grad_enabled, nn

Known = dict[Any, tuple[Tensor, dict[str, Tensor]]]
"""Images of the current batch with their features."""


class SharedFeatures(nn.Module):
    """A loss's view of a feature extractor that it shares with others.

    Args:
        extractor: Computes the layers of all of them.
        layers: Names of the layers of this loss.
        known: Features of this batch that are already computed.
    """

    def __init__(self, extractor: VGGFeatureExtractor, layers: Iterable[str], known: Known) -> None:
        super().__init__()
        self.extractor, self.layers, self.known = extractor, list(layers), known

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the features of an image, :math:`(N, 3, H, W)` RGB in [0, 1], by layer."""
        # Without a gradient, memory identifies an image: BasicSR detaches the ground truth anew.
        key = id(self.extractor), image.data_ptr(), image.shape, image.stride()
        if image.requires_grad and is_grad_enabled():
            key = id(self.extractor), id(image)
        if key not in self.known:
            # The image is kept, so that its memory is not used for another.
            self.known[key] = image, self.extractor(image)
        features = self.known[key][1]
        return {layer: features[layer] for layer in self.layers}


def share_features(terms: nn.Module) -> Known:
    """Let the perceptual losses in some terms share their feature extractors.

    Extractors of the same network and normalisation become one, as deep as the deepest of them.

    Args:
        terms: Terms on their device, in their memory format.

    Returns:
        The features of the current batch, to be cleared after it.
    """
    groups = defaultdict(list)
    for loss in (module for module in terms.modules() if isinstance(module, PerceptualLoss)):
        vgg = loss.vgg
        groups[tuple(vgg.names), vgg.use_input_norm, vgg.range_norm].append(loss)
    known: Known = {}
    for losses in (group for group in groups.values() if len(group) > 1):
        extractor = max((loss.vgg for loss in losses), key=lambda vgg: len(vgg.vgg_net))
        extractor.layer_name_list = list({n for loss in losses for n in loss.layer_weights})
        for loss in losses:
            loss.vgg = SharedFeatures(extractor, loss.layer_weights, known)
    return known
