"""Crops of originals with one of their candidate ground truths, or all of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from iqasr.data.candidates.candidate_set import open_candidates, select_allowed
from iqasr.data.candidates.choice_table import ChoiceTable
from iqasr.data.candidates.group import Group
from iqasr.data.candidates.hggt import ANNOTATORS
from iqasr.data.candidates.originals import open_originals
from iqasr.data.candidates.sampling_weights import SamplingWeights
from iqasr.data.checks.candidate_checks import check_candidates
from iqasr.data.files.crop import Crop
from iqasr.data.files.inspection import in_px
from iqasr.data.files.readers import EncodedReader, Reader
from iqasr.data.scores.known_quality import KnownQuality
from iqasr.data.scores.quality_map import QualityMap, lattice
from iqasr.data.scores.quality_source import open_quality
from iqasr.options.opt import accepts_opt, build_checked
from iqasr.options.sections import QualityOptions
from iqasr.registry import DATASET_REGISTRY, GT_SAMPLER_REGISTRY
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import GTSampler, UniformSampler
from iqasr.sampling.labels import Label

LEAST_MARGIN_PX = 64
"""A margin that is never too large, also for small images."""

ONE_ROOT = (
    'several folders are for photographs alone (originals: true). Give one folder, whose images/ '
    'holds the sets of candidates, or links to them.'
)


def check_sizes(gt_size: int, margin: int, scale: int) -> None:
    """Refuse sizes of crop and margin that do not fit the scale."""
    if gt_size < scale or gt_size % scale:
        raise ValueError(f'gt_size is {gt_size}; use a positive multiple of scale, {scale}.')
    if margin < 0 or margin % scale:
        raise ValueError(f'margin is {margin}; use 0 or a multiple of scale, {scale}.')


def accept(reader: Reader, root: str, *, grey: bool, bits: int) -> None:
    """Let the reader of a set take images of other kinds than 8-bit RGB.

    Raises:
        ValueError: If other kinds are asked for, and the images are no files.
    """
    if isinstance(reader, EncodedReader):
        reader.allow_grey, reader.bits, reader.is_option = grey, bits, True
    elif grey or bits > 8:
        raise ValueError(f'grey, bits: {root} holds 8-bit RGB. Leave them out.')


@DATASET_REGISTRY.register()
@accepts_opt
class MultiGTDataset(Dataset):
    """Originals and their candidate ground truths, with the same crop and turns.

    With a quality table or map, or a policy that needs no quality, the candidate is chosen here,
    and only it and the original are read. Otherwise the choice is *online*: all candidates are
    read, and the model scores their crops and chooses.

    Built from keyword arguments or, as BasicSR does, from its section of an option file; see
    `accepts_opt`.

    Args:
        dataroot_gt: Folder of candidates, LMDB or raw store; see
            `iqasr.data.candidates.candidate_set.open_candidates`. With `originals`, one folder of
            photographs or several, or an LMDB; see `open_originals`.
        gt_size: Height and width of a crop of the ground truth, in pixels; a multiple of `scale`.
        scale: Up-sampling factor.
        sampling: Policy that chooses among the candidates: a `GTSampler`, or its section. Groups of
            which it may choose none are left out. May be left out with `originals`.
        quality: Where the quality of the candidates comes from: a section (`QualityOptions`), a
            table, or a map, from whose lattice crops are then drawn. A section with neither table
            nor map makes the choice online. Policies that need no quality take only a map, for its
            places, or None.
        negatives: Also return a candidate that people judged worse, and one they judged better.
        degradation: Section of the degradation that makes the low-quality input. The model applies
            it, on the device.
        queue_size: Pairs that the model keeps to mix its batches of, likewise.
        dataroot_labels: Folder of the human judgements, if it is not ``<dataroot_gt>/labels``.
        originals: Each photograph of `dataroot_gt` is its own ground truth, without candidates.
        grey: Take greyscale images, too: their channels are equal.
        bits: 16 to take images of 16 bits, too, and keep their depth: crops are float32 in [0, 1].
        meta_info: List of the photographs to use, see `open_originals`; only with `originals`.
        sampling_weights: File that says how often each image is drawn, see `SamplingWeights`;
            default equally often.
        margin: The original is cropped larger by so many pixels, so that what a degradation does
            at the edges of its input stays outside the crop; a multiple of `scale`.
        use_hflip: Mirror left to right at random.
        use_rot: Mirror upside down and transpose at random, which makes all rotations.

    Raises:
        DataError: If the data is incomplete, or no group is left.
        ValueError: If a size does not fit `scale` or the map, the policy has no quality or labels
            to go by, or options contradict each other.
    """

    def __init__(
        self,
        dataroot_gt: str | list[str],
        gt_size: int,
        *,
        scale: int,
        sampling: dict[str, Any] | GTSampler | None = None,
        quality: dict[str, Any] | QualityOptions | KnownQuality | None = None,
        negatives: bool = False,
        degradation: dict[str, Any] | None = None,
        queue_size: int = 0,
        dataroot_labels: str | None = None,
        originals: bool = False,
        grey: bool = False,
        bits: Literal[8, 16] = 8,
        meta_info: str | None = None,
        sampling_weights: str | None = None,
        margin: int = 64,
        use_hflip: bool = True,
        use_rot: bool = False,
    ) -> None:
        check_sizes(gt_size, margin, scale)
        if meta_info is not None and not originals:
            raise ValueError('meta_info lists photographs without candidates: set originals: true.')
        if bits > 8 and (queue_size or negatives):
            raise ValueError('bits: 16 goes without queue_size and negatives, which hold 8.')
        if not isinstance(dataroot_gt, str) and not originals:
            raise ValueError(f'dataroot_gt: {ONE_ROOT}')
        path = f'datasets.{self.opt["name"]}'
        sampling = _make_sampler(f'{path}.sampling', sampling, originals)
        if sampling.needs_quality and quality is None:
            raise ValueError(
                f'{type(sampling).__name__} chooses by quality: give a table, a map or a scorer '
                'as `quality`.'
            )
        self.known_quality, norm = open_quality(quality, f'{path}.quality')
        self.online = quality is not None and self.known_quality is None
        self.map = self.known_quality if isinstance(self.known_quality, QualityMap) else None
        if self.map is not None:
            self.map.check_crop(gt_size)
        self.gt_size = gt_size
        self.scale = scale
        self.sampler = sampling
        self.negatives = negatives
        self.margin = margin
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self.seed, self.reads = torch.initial_seed(), 0
        if originals:
            found = open_originals(dataroot_gt, meta_info)
        else:
            found = open_candidates(dataroot_gt, dataroot_labels)
        self.candidates, self.allowed = select_allowed(found, sampling)
        self.reader, self.dtype = found.reader, torch.float32 if bits > 8 else torch.uint8
        accept(self.reader, found.root, grey=grey, bits=bits)
        self.dropped = len(found.groups) - len(self)
        keys = [group.key for group in self.candidates.groups]
        self.weights = sampling_weights and SamplingWeights(sampling_weights, keys)
        self.choices: ChoiceTable | None = None
        if not self.online:
            groups = self.candidates.groups
            self.choices = ChoiceTable(groups, self.allowed, sampling, self.known_quality, norm)

    def __len__(self) -> int:
        return len(self.candidates.groups)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read a group as `draw` does, for loaders that give an index only, as BasicSR's.

        The generator is made of torch's seed when this data set was built, of the seed of the
        loader's worker, and of the number of reads so far, so that epochs and workers differ.
        Without workers this is the stream of `iqasr.data.loader.PlacedDataset` at torch's seed.
        """
        worker = get_worker_info()
        place = (self.reads,) if worker is None else (worker.seed, self.reads)
        self.reads += 1
        return self.draw(index, generator_at(self.seed, 'item', *place))

    def draw(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        """Read a group and draw its crop and choice.

        Args:
            index: Which group; with `sampling_weights`, where in their course.
            generator: CPU generator; the only source of randomness.

        Returns:
            All images uint8 RGB, or float32 in [0, 1] with 16 `bits`. ``key``; ``original``,
            :math:`(3, G + M, G + M)` for crops of G with margin M; ``offset``, int64 (top, left) of
            the crop inside it, multiples of `scale`. Then ``gt``, :math:`(3, G, G)`; ``choice``,
            its index, int64; ``perplexity`` of the policy; ``quality``, :math:`(K,)` normalised,
            ``-inf`` where not allowed. Or, online, ``candidates``, :math:`(K, 3, G, G)` as they lie
            in their images, zero where not allowed; ``allowed``, :math:`(K,)` bool; ``turns``,
            :math:`(3,)` bool, `Crop.turns`.
            With `negatives`, ``negative``: a dict of ``image``, a random negative, ``positive``, a
            random positive, both :math:`(3, G, G)`, and ``agreement``, :math:`(2,)` float32, the
            share of the annotators who said so of each; zeros where there is none.

        Raises:
            DataError: If an image is broken, too small, or not of the size of its original.
        """
        if self.weights:
            index = self.weights.draw(index, generator)
        group = self.candidates.groups[index]
        original = self._read_image(group.files[0])
        if self.margin > max(LEAST_MARGIN_PX, *original.shape[:2]):
            raise DataError(
                f'datasets.train.margin: {self.margin} px are more than '
                f'{self.reader.where(group.files[0])} has, {in_px(original.shape)}. Make it '
                'smaller; 64 is enough for all degradations.'
            )
        crop, place, top, left = self._draw_crop(group, original.shape, generator)
        region, offset = crop.region(top, left, self.margin)
        item = {
            'key': group.key,
            'original': region.cut(original),
            'offset': torch.tensor(offset),
        }
        if self.choices is None:
            item |= self._candidate_crops(group, original, crop, self.allowed[index])
        else:
            item |= self.choices.draw(index, place, generator)
            item['gt'] = self._crop_of(group, int(item['choice']), original, crop)
        if self.negatives:
            item['negative'] = self._draw_negative(group, original, crop, generator)
        return item

    def _draw_negative(
        self, group: Group, original: np.ndarray, crop: Crop, generator: torch.Generator
    ) -> dict[str, Tensor]:
        images = torch.zeros(2, 3, self.gt_size, self.gt_size, dtype=torch.uint8)
        agreement = torch.zeros(2)
        draws = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        for place, label in enumerate((Label.NEGATIVE, Label.POSITIVE)):
            found = [k for k, own in enumerate(group.labels) if own is label]
            if found:
                choice = found[int(draws[place] * len(found))]
                images[place] = self._crop_of(group, choice, original, crop)
                agreement[place] = group.votes[choice] / len(ANNOTATORS)
        return {'image': images[0], 'positive': images[1], 'agreement': agreement}

    def _candidate_crops(
        self, group: Group, original: np.ndarray, crop: Crop, allowed: Tensor
    ) -> dict[str, Tensor]:
        size, upright = self.gt_size, Crop(crop.top, crop.left, crop.size)
        candidates = torch.zeros(len(allowed), 3, size, size, dtype=self.dtype)
        for choice in allowed.nonzero().flatten().tolist():
            candidates[choice] = self._crop_of(group, choice, original, upright)
        turns = torch.tensor(crop.turns)
        return {'candidates': candidates, 'allowed': allowed, 'turns': turns}

    def _crop_of(self, group: Group, choice: int, original: np.ndarray, crop: Crop) -> Tensor:
        image = original if choice == 0 else self._read_image(group.files[choice])
        if image.shape != original.shape:
            raise DataError(
                f'{self.reader.where(group.files[choice])}: its size differs from that of its '
                'original. Make all candidates of an image equal in size.'
            )
        return crop.cut(image)

    def _draw_crop(
        self, group: Group, shape: tuple[int, ...], generator: torch.Generator
    ) -> tuple[Crop, int, int, int]:
        """Draw a crop that lies inside the image.

        Returns:
            The crop; its place in the map, 0 without one; and where it lies (top, left) in the
            region.
        """
        uniform = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
        steps = self.margin // self.scale + 1
        tops, lefts = self._crop_places(group, shape)
        row, column = int(uniform[0] * len(tops)), int(uniform[1] * len(lefts))
        crop = Crop(
            top=tops[row],
            left=lefts[column],
            size=self.gt_size,
            hflip=self.use_hflip and uniform[2] < 0.5,
            vflip=self.use_rot and uniform[3] < 0.5,
            transpose=self.use_rot and uniform[4] < 0.5,
        )
        place = 0 if self.map is None else row * len(lefts) + column
        top, left = (int(draw * steps) * self.scale for draw in uniform[5:])
        return crop, place, top, left

    def _crop_places(self, group: Group, shape: tuple[int, ...]) -> list[Sequence[int]]:
        """List where crops may begin, from top and from left."""
        if self.map is None:
            return [range(side - self.gt_size + 1) for side in shape[:2]]
        if self.map.groups[group.key].size != shape[:2]:
            raise DataError(
                f'{self.reader.where(group.files[0])}: has another size than when it was '
                f'scored. {self.map.how_to_update}'
            )
        return [lattice(side, self.gt_size, self.map.stride) for side in shape[:2]]

    def _read_image(self, file: str) -> np.ndarray:
        image = self.reader.image(file)
        if min(image.shape[:2]) < self.gt_size:
            raise DataError(
                f'{self.reader.where(file)}: {in_px(image.shape)}, smaller than gt_size, '
                f'{self.gt_size}. Remove its group, or lower gt_size.'
            )
        return image

    def check(self, decode: bool = False) -> list[str]:
        """Check every image that may be used; returns the problems, see `check_candidates`."""
        quality = self.known_quality if decode else None
        return check_candidates(
            self.candidates, min_size=self.gt_size, decode=decode, quality=quality
        )


def _make_sampler(
    path: str, sampling: Mapping[str, Any] | GTSampler | None, originals: bool
) -> GTSampler:
    if isinstance(sampling, Mapping):
        return build_checked(GT_SAMPLER_REGISTRY, path, sampling)
    if sampling is None and not originals:
        raise OptionError(f'{path}: is required and missing.')
    return sampling or UniformSampler()
