"""Whole images to measure: with one ground truth each, several or none; restored or not yet."""

import os
from collections.abc import Container, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from iqasr.data.candidates.candidate_folders import find_sets, stems
from iqasr.data.candidates.candidate_set import is_store, open_candidates
from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import warn_of_nested_images
from iqasr.data.files.inspection import in_parallel, in_px
from iqasr.data.files.readers import FileReader, Reader
from iqasr.options.opt import accepts_opt
from iqasr.registry import DATASET_REGISTRY
from iqasr.runtime.errors import DataError
from iqasr.sampling import UniformSampler

LQ, OUTPUT = ('lq', 'filename_tmpl'), ('output', 'restored_tmpl')
"""What a file is, and the option that says how it is called."""


class ImageFiles(NamedTuple):
    """The files of one image."""

    name: str
    gt: list[str]
    lq: str | None
    output: str | None


@DATASET_REGISTRY.register()
@accepts_opt
class EvaluationDataset(Dataset):
    """Whole images to measure: with one ground truth each, several or none; restored or not yet.

    With several ground truths, every full-reference metric is the mean over them: the protocol of
    HGGT's Test-100, with `candidates` at ``positives``. A ground truth whose sides are no multiples
    of `scale` may exceed the output by the rest, which is cut off.

    Built from keyword arguments or, as BasicSR does, from its section of an option file; see
    `accepts_opt`.

    Args:
        scale: Up-sampling factor.
        dataroot_gt: Folder of ground truths; or candidates, folders or a store, as
            `open_candidates` takes them. Without it only no-reference metrics have a value.
        dataroot_lq: Folder of the inputs.
        dataroot_restored: Folder of outputs, if the images are restored already.
        dataroot_labels: Folder of the human judgements of candidates, if it is elsewhere.
        candidates: Which candidates are ground truths, as in `GTSampler`; images that have none are
            left out.
        filename_tmpl: Name of an input, made from that of its ground truth, both without suffix.
        restored_tmpl: Name of an output, likewise, such as ``{}_rrdb``.

    Raises:
        DataError: If there is nothing to measure, or names do not match: all of them are listed.
        ValueError: If positives are asked for and nobody judged.
    """

    def __init__(
        self,
        *,
        scale: int,
        dataroot_gt: str | None = None,
        dataroot_lq: str | None = None,
        dataroot_restored: str | None = None,
        dataroot_labels: str | None = None,
        candidates: Literal[
            'all', 'enhanced', 'positives', 'original', 'original+positives'
        ] = 'positives',
        filename_tmpl: str = '{}',
        restored_tmpl: str = '{}',
    ) -> None:
        roots = [root for root in (dataroot_gt, dataroot_lq, dataroot_restored) if root]
        absent = [root for root in roots if not os.path.isdir(root)]
        if absent:
            raise DataError(f'{", ".join(absent)}: no such folder, here or in the project.')
        if dataroot_lq is None and dataroot_restored is None:
            raise DataError('EvaluationDataset: give dataroot_lq, or dataroot_restored.')
        self.scale = scale
        self.files = FileReader(allow_grey=True)
        self.gt_reader: Reader = self.files
        problems: list[str] = []
        has_candidates = dataroot_gt and (is_store(dataroot_gt) or find_sets(dataroot_gt))
        for root in roots[1:] if has_candidates else roots:
            warn_of_nested_images(root)
        if has_candidates:
            _, groups, self.gt_reader = open_candidates(dataroot_gt, dataroot_labels)
            found = _chosen_files(groups, UniformSampler(candidates=candidates))
            if len(found) < len(groups):
                problems.append(
                    f'{dataroot_gt}: sets in it share names. Give the folder of one set.'
                )
        else:
            found = {
                name: [os.path.join(roots[0], file)] if dataroot_gt else []
                for name, file in stems(roots[0], problems).items()
            }
        measured = {name: gt for name, gt in found.items() if gt or not dataroot_gt}
        self.dropped = len(found) - len(measured)
        files = []
        for kind, root, template in (
            (LQ, dataroot_lq, filename_tmpl),
            (OUTPUT, dataroot_restored, restored_tmpl),
        ):
            wanted = {name if root == roots[0] else template.format(name): name for name in found}
            files.append(_find_files(kind, root, wanted, measured, problems) if root else {})
        if problems:
            raise DataError(problems)
        self.images = [
            ImageFiles(name, gt, *(of_kind.get(name) for of_kind in files))
            for name, gt in measured.items()
        ]
        self.several = any(len(image.gt) > 1 for image in self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read an image as BasicSR's data sets give it: as `read`, but float32 in [0, 1]."""
        return {key: _as_float(value) for key, value in self.read(index).items()}

    def read(self, index: int) -> dict[str, Any]:
        """Read an image.

        Returns:
            ``key``, its name. ``lq``, ``output`` and ``gt``, as far as there are folders of them,
            :math:`(3, H, W)` uint8 RGB; where images have several ground truths, ``gt`` is a list
            of such. ``lq_path``, ``output_path``, and ``gt_path``, that of the first ground truth.

        Raises:
            DataError: If an image is broken.
        """
        image = self.images[index]
        item: dict[str, Any] = {'key': image.name}
        for kind, file in (('lq', image.lq), ('output', image.output)):
            if file is not None:
                item |= {kind: _read_image(self.files, file), f'{kind}_path': file}
        if not image.gt:
            return item
        if 'output' in item:
            height, width = item['output'].shape[1:]
        else:
            height, width = (side * self.scale for side in item['lq'].shape[1:])
        gt = [_read_image(self.gt_reader, file)[:, :height, :width] for file in image.gt]
        item['gt_path'] = self.gt_reader.where(image.gt[0])
        return item | {'gt': gt if self.several else gt[0]}

    def check(self, decode: bool = False) -> list[str]:
        """Look at every file.

        Args:
            decode: Decode the images, too.

        Returns:
            The problems: images that `inspect_image` refuses, or whose sizes do not fit.
        """
        return in_parallel(partial(self._check, decode=decode), self.images)

    def _check(self, image: ImageFiles, decode: bool) -> list[str]:
        gt = {f: self.gt_reader.inspect(f, decode=decode) for f in image.gt}
        lq, output = (
            file and self.files.inspect(file, decode=decode) for file in (image.lq, image.output)
        )
        size = output or tuple(side * self.scale for side in lq)
        place = image.output or f'{image.lq}, enlarged {self.scale} times,'
        problems = [
            f'{place} is {in_px(size)}, but its ground truth {self.gt_reader.where(file)} is '
            f'{in_px(of_gt)}. Check `scale`, and that both are of the same test set.'
            for file, of_gt in gt.items()
            if size not in (of_gt, tuple(side // self.scale * self.scale for side in of_gt))
        ]
        if lq and output and lq != tuple(side // self.scale for side in output):
            problems.append(
                f'{place} is {in_px(size)}, but its input {image.lq} is {in_px(lq)}, which does '
                f'not fit scale {self.scale}.'
            )
        return problems


def _chosen_files(groups: Sequence[Group], sampler: UniformSampler) -> dict[str, list[str]]:
    """List the candidates that serve as ground truths, by the name of their image."""
    chosen = {}
    for group in groups:
        allowed = sampler.allowed_candidates(group.labels)
        files = [file for file, use in zip(group.files, allowed, strict=True) if use and file]
        chosen[os.path.basename(group.key)] = files
    return chosen


def _find_files(
    kind: tuple[str, str],
    root: str,
    wanted: dict[str, str],
    measured: Container[str],
    problems: list[str],
) -> dict[str, str]:
    """Find the file of each image in a folder.

    Args:
        kind: `LQ` or `OUTPUT`.
        root: The folder.
        wanted: Names of the images by that of the file, without suffix.
        measured: Names of those that must be there.
        problems: Files that are missing, or that belong to no image, are added.

    Returns:
        Path by name of the image.
    """
    found, (kind, template) = stems(root, problems), kind
    problems += [
        f"{os.path.join(root, stem)}.*: missing, the {kind} of '{name}'. Add it, or say by "
        f'{template} how such files are called.'
        for stem, name in wanted.items()
        if stem not in found and name in measured
    ]
    problems += [
        f'{os.path.join(root, found[stem])}: the test set has no image of this name. Remove it, or '
        f'say by {template} how such files are called.'
        for stem in sorted(found.keys() - wanted.keys())
    ]
    return {name: os.path.join(root, found[stem]) for stem, name in wanted.items() if stem in found}


def _read_image(reader: Reader, file: str) -> Tensor:
    # Copied: a store may give a read-only view.
    return torch.from_numpy(reader.image(file).transpose(2, 0, 1).copy())


def _as_float(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_float(image) for image in value]
    return value.float().div_(255) if isinstance(value, Tensor) else value
