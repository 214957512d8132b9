"""The pretrained features that BasicSR's ``PerceptualLoss`` has torchvision load."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basicsr.archs.vgg_arch import NAMES, VGG_PRETRAIN_PATH, insert_bn
from torchvision.models import get_model_weights

from iqasr.pretrained import entry_at, find_weights, notice_of_fetch
from iqasr.pretrained.cache import hub_folder

NETWORKS = [f'{name}{ending}' for name in NAMES for ending in ('', '_bn')]
"""What ``vgg_type`` may be."""


def network_of(section: Mapping[str, Any]) -> str:
    """Name the network of a ``PerceptualLoss`` section."""
    return section.get('vgg_type') or 'vgg19'


def layers_of(network: str) -> list[str]:
    """List the layers of a network that a loss may compare."""
    names = NAMES[network.removesuffix('_bn')]
    return insert_bn(names) if network.endswith('_bn') else names


def place_of_features(network: str) -> Path:
    """Return where torchvision looks for the weights of a network."""
    url = get_model_weights(network).IMAGENET1K_V1.url
    return hub_folder() / 'checkpoints' / url.rpartition('/')[-1]


def missing_features(section: Mapping[str, Any]) -> Path | None:
    """Return the file that a section's loss needs and torchvision would not find, if any."""
    network = network_of(section)
    if section.get('type') != 'PerceptualLoss' or network not in NETWORKS:
        return None
    path = place_of_features(network)
    return None if path.exists() or Path(VGG_PRETRAIN_PATH).exists() else path


def notice_of_features(section: Mapping[str, Any]) -> str:
    """Say which features will be fetched for a section's loss; empty for none."""
    path = missing_features(section)
    if path is None:
        return ''
    entry = entry_at(path)
    return notice_of_fetch(entry.name) if entry else f'{path.name} will be fetched'


def fetch_features(section: Mapping[str, Any]) -> None:
    """Fetch the features of a section's loss, if they are missing and in the catalogue.

    Raises:
        MissingWeightsError: If they cannot be fetched.
    """
    path = missing_features(section)
    if path is not None and (entry := entry_at(path)):
        find_weights(entry.name)  # puts the file there, too
