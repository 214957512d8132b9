"""Score the crops of every candidate ground truth of a data set once, into a quality map."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.data.files.inspection import in_px
from iqasr.data.files.journal import Journal, read_complete
from iqasr.data.scores.parts import (
    part_of,
    parts_of,
    refuse_scorer,
    remove_parts,
    score_in_parts,
    share_of,
)
from iqasr.data.scores.quality_map import MapGroup, MapKind, QualityMap, keep_order, lattice
from iqasr.quality import QualityScorer
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError


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
    refuse_scorer(scorer, batch)
    if crop < 1 or stride < 1:
        raise ValueError(f'crop is {crop}, stride {stride}; use 1 pixel or more.')
    if crop < scorer.min_size:
        raise ValueError(f'crop: {scorer.name} needs {scorer.min_size} px, not {crop}.')
    process = process or Process()
    kind = MapKind(scorer.name, scorer.version, tuple(scorer.score_range), crop, stride)
    path = Path(out or Path(source, f'map_{scorer.name}_{crop}_{stride}.safetensors'))
    earlier = scored_before(path, kind)

    def score(candidates: CandidateSet) -> None:
        map_share(candidates, scorer.to(process.device), kind, path, earlier, batch, process)

    def merge(groups: list[Group]) -> None:
        parts = [part_of(path, rank) for rank in range(process.world_size)]
        scored = earlier | read_parts(parts, kind)
        QualityMap(str(path), kind, {group.key: scored[group.key] for group in groups}).write()
        remove_parts(path)

    return score_in_parts(source, path, process, score, merge)


def scored_before(path: Path, kind: MapKind) -> dict[str, MapGroup]:
    """Read what an earlier map holds, by key; nothing if the scorer has another version now.

    Raises:
        ValueError: If it is of another scorer, or of other crops.
    """
    if not path.exists():
        return {}
    made = QualityMap.read(str(path))
    old, new = ((k.scorer, k.crop, k.stride) for k in (made.kind, kind))
    if old != new:
        shown = ("'{}', crops of {} px, stride {}".format(*what) for what in (old, new))
        raise ValueError(
            '{}: is a map by {}; wanted is {}. Choose another -o.'.format(path, *shown)
        )
    return made.groups if made.kind == kind else {}


def map_share(
    candidates: CandidateSet,
    scorer: QualityScorer,
    kind: MapKind,
    path: Path,
    earlier: dict[str, MapGroup],
    batch: int,
    process: Process,
) -> None:
    """Write the part of this process, ``<path>.rank<k>``: every world_size-th group.

    Groups of earlier runs are taken over where kind, candidates and images are the same.
    """
    part = part_of(path, process.rank)
    own = read_parts([part], kind)
    known = earlier | read_parts(parts_of(path), kind) | own
    with Journal(part) as journal:
        for group in share_of(candidates, process, kind.scorer):
            scored = score_crops_of(candidates, group, scorer, kind, known, batch, process.device)
            if own.get(group.key) is not scored:
                quality = base64.b64encode(scored.quality.tobytes()).decode()
                journal.append(json.dumps([kind, *scored[:-1], quality]) + '\n')


def read_parts(paths: Iterable[Path], kind: MapKind) -> dict[str, MapGroup]:
    """Read what was scored, by key; later lines win."""
    known = {}
    wanted = json.loads(json.dumps(kind))
    for path in paths:
        for line in read_complete(path).split('\n')[:-1] if path.exists() else []:
            its_kind, key, names, hashes, size, quality = json.loads(line)
            if its_kind == wanted:
                values = np.frombuffer(base64.b64decode(quality), np.float16)
                values = values.reshape(len(names), -1)
                known[key] = MapGroup(key, tuple(names), tuple(hashes), tuple(size), values)
    return known


def score_crops_of(
    candidates: CandidateSet,
    group: Group,
    scorer: QualityScorer,
    kind: MapKind,
    known: dict[str, MapGroup],
    batch: int,
    device: torch.device,
) -> MapGroup:
    """Find the quality of the crops of one image's candidates; as known, if the same."""
    names, files = tuple(group.present), list(group.present.values())
    hashes = tuple(map(candidates.reader.content_hash, files))
    earlier = known.get(group.key)
    if earlier is not None and (earlier.names, earlier.content_hashes) == (names, hashes):
        return earlier
    images = [candidates.reader.image(file) for file in files]
    size, where = images[0].shape[:2], candidates.reader.where(files[0])
    if any(image.shape != images[0].shape for image in images):
        raise DataError(f'{where}: its candidates differ in size. Make them equal.')
    if min(size) < kind.crop:
        raise DataError(
            f'{where}: {in_px(size)}, smaller than the crops, {kind.crop}. Remove its '
            'group, or map smaller crops.'
        )
    pixels = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in images])).to(device)
    try:
        quality = score_crops(pixels, scorer, kind.crop, kind.stride, batch)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    return MapGroup(group.key, names, hashes, size, keep_order(quality.cpu().numpy()))


@torch.no_grad()
def score_crops(
    images: Tensor, scorer: QualityScorer, crop: int, stride: int, batch: int
) -> Tensor:
    """Score the crops of images on the lattice.

    Args:
        images: :math:`(K, 3, H, W)` uint8, where the scorer works.
        scorer: The scorer.
        crop: Side of the crops, in pixels.
        stride: Their distance, in pixels.
        batch: Most crops per call.

    Returns:
        Quality, :math:`(K, P)`, the places row by row.
    """
    tops, lefts = (lattice(side, crop, stride) for side in images.shape[2:])
    crops = [
        image[:, top : top + crop, left : left + crop]
        for top in tops
        for left in lefts
        for image in images
    ]
    scores = [
        scorer(torch.stack(crops[first : first + batch]).float() / 255)
        for first in range(0, len(crops), batch)
    ]
    return torch.cat(scores).reshape(-1, len(images)).T
