"""Votes of people about images, and the fit of a ranker's detail to them.

Source:
    Bradley and Terry (1952), Rank analysis of incomplete block designs: the share of votes is a
    logistic function of the difference in quality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.pairs import ImagePair, PairSet, read_pairs
from iqasr.degradation import from_uint8
from iqasr.quality.base import digest_of
from iqasr.quality.ranker import RankerNetwork, detail_statistics
from iqasr.runtime.errors import DataError

RIDGE = 0.01
"""Weight of the squared weights in the fit, beside the mean cross entropy of a vote."""

LEAST_SOURCES = 5
"""Photographs below which an estimate from those left out says nothing."""


@dataclass(frozen=True)
class VotedSource:
    """The images of one source that people compared."""

    name: str
    images: Tensor
    """:math:`(K, 3, H, W)` uint8 RGB."""
    pairs: list[tuple[int, int, float]]
    """Numbers of images a and b, and the share of people who prefer b."""

    @property
    def digest(self) -> str:
        """Hash of images and votes."""
        return digest_of({'images': self.images, 'pairs': torch.tensor(self.pairs)})


def read_votes(path: str) -> list[VotedSource]:
    """Read votes and their images.

    Args:
        path: Pairs, see `iqasr.analysis.pairs.read_pairs`.

    Raises:
        DataError: If the pairs or images cannot be read, none has a winner, or images of one
            source differ in size.
    """
    pair_set = read_pairs(path)
    by_source: dict[str, list[ImagePair]] = {}
    for pair in pair_set.pairs:
        by_source.setdefault(pair.source_id, []).append(pair)
    if all(pair.p_b == 0.5 for pair in pair_set.pairs):
        raise DataError(f'{path}: all pairs are ties. Give votes that have winners.')
    return [read_source(name, pairs, pair_set) for name, pairs in sorted(by_source.items())]


def read_source(name: str, pairs: Sequence[ImagePair], pair_set: PairSet) -> VotedSource:
    """Read the images of one source."""
    files = sorted({path for pair in pairs for path in (pair.path_a, pair.path_b)})
    images = [pair_set.reader.image(file) for file in files]
    if len({image.shape for image in images}) > 1:
        sizes = ', '.join(
            f'{file}: {image.shape[1]}x{image.shape[0]}'
            for file, image in zip(files, images, strict=True)
        )
        raise DataError(f'{name}: its images differ in size ({sizes}). Give images of one size.')
    pixels = np.stack(images).transpose(0, 3, 1, 2)
    numbers = [(files.index(p.path_a), files.index(p.path_b), p.p_b) for p in pairs]
    return VotedSource(name, torch.from_numpy(np.ascontiguousarray(pixels)), numbers)


class VoteTable(NamedTuple):
    """What is known of the n pairs of some sources."""

    detail: Tensor
    """Statistics of b minus those of a, :math:`(n, 6)`."""
    damage: Tensor
    """Damage of b minus that of a, :math:`(n,)`."""
    share: Tensor
    """Share of people who prefer b, :math:`(n,)`."""
    source: Tensor
    """Number of the source, :math:`(n,)`."""

    def select(self, rows: Tensor) -> 'VoteTable':
        """Keep some of the pairs."""
        return VoteTable(*(column[rows] for column in self))

    def lead(self, weights: Tensor) -> Tensor:
        """Quality of b minus that of a, given the weights of the detail."""
        return self.detail @ weights - self.damage


@torch.no_grad()
def measure(votes: Sequence[VotedSource], network: RankerNetwork | None = None) -> VoteTable:
    """Measure the images of votes; the damage is that of `network`, or none."""
    tables = []
    for number, source in enumerate(votes):
        images = [from_uint8(image[None]) for image in source.images]
        detail = torch.cat([detail_statistics(image) for image in images])
        damage = torch.cat([network.damage(i) if network else torch.zeros(1) for i in images])
        a, b, share = zip(*source.pairs, strict=True)
        b, a = list(b), list(a)
        place = torch.full((len(a),), number)
        tables.append((detail[b] - detail[a], damage[b] - damage[a], torch.tensor(share), place))
    return VoteTable(*(torch.cat(column) for column in zip(*tables, strict=True)))


def fit_detail(table: VoteTable) -> Tensor:
    """Fit the weights of the detail by logistic regression, given the damage.

    Returns:
        Weights of `detail_statistics`, :math:`(6,)`.
    """
    detail, damage, share = table.detail.double(), table.damage.double(), table.share.double()
    weights = torch.zeros(detail.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        entropy = F.binary_cross_entropy_with_logits(detail @ weights - damage, share)
        loss = entropy + RIDGE * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach().float()


def cross_validate(table: VoteTable) -> Estimate | None:
    """Estimate how often a ranker agrees with people about photographs it has no votes of.

    The votes of one photograph after the other are left out of the fit of the detail. (The damage
    is learnt without votes.)

    Returns:
        Share of pairs with its interval over photographs; None for fewer than `LEAST_SOURCES`.
    """
    table = table.select(table.share != 0.5)
    sources = table.source.unique()
    if len(sources) < LEAST_SOURCES:
        return None
    right = torch.empty(len(table.share))
    for source in sources:
        own = table.source == source
        lead = table.select(own).lead(fit_detail(table.select(~own)))
        right[own] = (1 + lead.sign() * (table.share[own] - 0.5).sign()) / 2
    bootstrap = SourceBootstrap(table.source.tolist())
    shares = bootstrap.sums(right.numpy()) / bootstrap.sums(np.ones(len(right)))
    return bootstrap.estimate(shares)


def describe_agreement(estimate: Estimate | None) -> str:
    """Say in words what the votes show, and no more."""
    if estimate is None:
        return (
            'The votes have winners for too few photographs to say how often the ranker agrees '
            f'with people about others ({LEAST_SOURCES} are needed, better 20).'
        )
    found = f'Agreement with people about photographs left out of the fit: {estimate}'
    return found + (', better than chance.' if estimate.low > 0.5 else ', no better than chance.')
