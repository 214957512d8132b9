"""Features of a frozen network that several terms compare, computed once for each image."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from basicsr.archs.vgg_arch import VGGFeatureExtractor
from basicsr.losses.basic_loss import PerceptualLoss
from torch import Tensor, is_grad_enabled, nn

Known = dict[Any, tuple[Tensor, dict[str, Tensor]]]
"""Images with their features."""


class SharedFeatures(nn.Module):
    """What one loss sees of a feature extractor that others see, too.

    Args:
        extractor: Computes the layers of all of them.
        layers: Names of the layers of this loss.
        known: Features of this batch that were computed already.
    """

    def __init__(self, extractor: VGGFeatureExtractor, layers: Iterable[str], known: Known) -> None:
        super().__init__()
        self.extractor, self.layers, self.known = extractor, list(layers), known

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the features of an image, :math:`(N, 3, H, W)` RGB in [0, 1], by layer."""
        # Without a gradient, equal memory will do: BasicSR detaches the ground truth on every call.
        key = id(self.extractor), image.data_ptr(), image.shape, image.stride()
        if image.requires_grad and is_grad_enabled():
            key = id(self.extractor), id(image)
        if key not in self.known:
            # with the image, as its memory must not be used for another
            self.known[key] = image, self.extractor(image)
        features = self.known[key][1]
        return {layer: features[layer] for layer in self.layers}


def share_features(terms: nn.Module) -> Known:
    """Let the perceptual losses in some terms share their feature extractors.

    Extractors of the same network and normalisation become one, as deep as the deepest of them.

    Args:
        terms: Terms on their device, in their memory format.

    Returns:
        What to empty after every batch.
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
