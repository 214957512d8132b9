"""Score the crops of every candidate ground truth of a data set once, into a quality map."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iqasr.data.candidates.group import Group
from iqasr.data.files.inspection import in_px
from iqasr.data.files.journal import read_complete
from iqasr.data.files.readers import Reader
from iqasr.data.scores.known_quality import ScoredGroup
from iqasr.data.scores.parts import Scoring
from iqasr.data.scores.quality_map import QualityMap, keep_order, lattice
from iqasr.quality import QualityScorer
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError


@dataclass
class MapScoring(Scoring[ScoredGroup]):
    """Scores the crops of candidates into a quality map.

    Args:
        crop: Side of the crops, in pixels.
        stride: Their distance, in pixels.
    """

    crop: int
    stride: int

    def __post_init__(self) -> None:
        scorer = self.scorer
        if self.crop < 1 or self.stride < 1:
            raise ValueError(f'crop is {self.crop}, stride {self.stride}; use 1 pixel or more.')
        if self.crop < scorer.min_size:
            raise ValueError(f'crop: {scorer.name} needs {scorer.min_size} px, not {self.crop}.')
        self.kind = [scorer.name, scorer.version, [*scorer.score_range], self.crop, self.stride]
        super().__post_init__()

    def read_earlier(self) -> dict[str, ScoredGroup]:
        """Read the map; nothing if the scorer has another version now.

        Raises:
            ValueError: If it is of another scorer, or of other crops.
        """
        if not self.path.exists():
            return {}
        made = QualityMap.read(str(self.path))
        old = made.scorer, made.crop, made.stride
        new = self.scorer.name, self.crop, self.stride
        if old != new:
            shown = ("'{}', crops of {} px, stride {}".format(*what) for what in (old, new))
            raise ValueError(
                '{}: is a map by {}; wanted is {}. Choose another -o.'.format(self.path, *shown)
            )
        same = [made.version, [*made.score_range]] == self.kind[1:3]
        return made.groups if same else {}

    def read_part(self, part: Path) -> dict[str, ScoredGroup]:
        """Read the groups of this kind of map."""
        known = {}
        for line in read_complete(part).splitlines():
            its_kind, key, names, hashes, size, quality = json.loads(line)
            if its_kind == self.kind:
                values = np.frombuffer(base64.b64decode(quality), np.float16)
                values = values.reshape(len(names), -1)
                known[key] = ScoredGroup(key, tuple(names), tuple(hashes), tuple(size), values)
        return known

    def lines_of(self, scored: ScoredGroup) -> str:
        """Write a line of JSON."""
        quality = base64.b64encode(scored.quality.tobytes()).decode()
        return json.dumps([self.kind, *scored[:-1], quality]) + '\n'

    def score(self, reader: Reader, group: Group, known: ScoredGroup | None) -> ScoredGroup:
        """Score the crops of all images of a group, unless none has changed."""
        names, files = tuple(group.present), list(group.present.values())
        hashes = tuple(map(reader.content_hash, files))
        if known is not None and (known.names, known.content_hashes) == (names, hashes):
            return known
        images = [reader.image(file) for file in files]
        size, where = images[0].shape[:2], reader.where(files[0])
        if any(image.shape != images[0].shape for image in images):
            raise DataError(f'{where}: its candidates differ in size. Make them equal.')
        if min(size) < self.crop:
            raise DataError(
                f'{where}: {in_px(size)}, smaller than the crops, {self.crop}. Remove its '
                'group, or map smaller crops.'
            )
        pixels = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in images]))
        try:
            quality = self.score_crops(pixels.to(self.process.device))
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from error
        return ScoredGroup(group.key, names, hashes, size, keep_order(quality.cpu().numpy()))

    @torch.no_grad()
    def score_crops(self, images: Tensor) -> Tensor:
        """Score the crops of images on the lattice.

        Args:
            images: :math:`(K, 3, H, W)` uint8, where the scorer works.

        Returns:
            Quality, :math:`(K, P)`, the places row by row.
        """
        tops, lefts = (lattice(side, self.crop, self.stride) for side in images.shape[2:])
        crops = [
            image[:, top : top + self.crop, left : left + self.crop]
            for top in tops
            for left in lefts
            for image in images
        ]
        scores = [
            self.scorer(torch.stack(crops[first : first + self.batch]).float() / 255)
            for first in range(0, len(crops), self.batch)
        ]
        return torch.cat(scores).reshape(-1, len(images)).T

    def write(self, groups: Sequence[Group], scored: Mapping[str, ScoredGroup]) -> None:
        """Write the map, in the order of the groups."""
        name, version, score_range, crop, stride = self.kind
        QualityMap(str(self.path), name, version, score_range, scored, crop, stride).write()


def score_map(
    source: str,
    scorer: QualityScorer,
    out: str | None = None,
    *,
    crop: int = 256,
    stride: int = 64,
    batch: int = 64,
    process: Process | None = None,
) -> Path:
    """Score crops of all candidates of a data set, or of what is new or changed in it.

    May be killed at any time and started again, with another number of processes too: what was
    scored is kept beside `out`, in ``<out>.rank<k>``, until the map is complete.

    Args:
        source: Folder or store, as `open_candidates` takes it.
        scorer: The scorer.
        out: The map; default ``map_<scorer>_<crop>_<stride>.safetensors`` inside `source`.
        crop: Side of the crops, in pixels: the `gt_size` of the training to come.
        stride: Their distance, in pixels.
        batch: Most crops per call of the scorer; all of one group, so that the result does not
            depend on the number of processes.
        process: This process among those that share the work; default the only one.

    Returns:
        Path of the map, complete in every process.

    Raises:
        DataError: If the data set cannot be read, or an image is smaller than the crops.
        ValueError: If the scorer needs a reference or larger crops, a number is below 1, or `out`
            holds another scorer's quality or that of other crops.
    """
    path = Path(out or Path(source, f'map_{scorer.name}_{crop}_{stride}.safetensors'))
    return MapScoring(scorer, path, batch, process or Process(), crop, stride).run(source)
