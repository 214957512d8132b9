"""Whole images to measure: with one ground truth each, several or none; restored or not yet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from iqasr.data.candidates.candidate_folders import find_sets, stems
from iqasr.data.candidates.candidate_set import CandidateSet, Group, is_store, open_candidates
from iqasr.data.checks.candidate_checks import in_parallel, in_px
from iqasr.data.files.image_files import inspect_image
from iqasr.data.files.readers import FileReader, Reader
from iqasr.options.opt import accepts_opt
from iqasr.registry import DATASET_REGISTRY
from iqasr.runtime.errors import DataError
from iqasr.sampling import GTSampler, UniformSampler

FILES = FileReader()


@dataclass
class Entry:
    """The files of one image."""

    name: str
    gt: list[str]
    measured: bool
    """False if there should be a ground truth and is none."""
    lq: str | None = None
    output: str | None = None


@DATASET_REGISTRY.register()
@accepts_opt
class EvaluationDataset(Dataset):
    """Whole images to measure: with one ground truth each, several or none; restored or not yet.

    With several ground truths, every full-reference metric is the mean over them: the protocol of
    HGGT's Test-100, with `candidates` at ``positives``. A ground truth whose sides are no multiples
    of `scale` may exceed the output by the rest, which is cut off.

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
        self.images = CandidateSet(roots[0], [], FILES)
        problems: list[str] = []
        if dataroot_gt is not None and (is_store(dataroot_gt) or find_sets(dataroot_gt)):
            self.images = open_candidates(dataroot_gt, dataroot_labels)
            sampler = UniformSampler(candidates=candidates)
            entries = {
                os.path.basename(group.key): chosen(group, sampler) for group in self.images.groups
            }
            if len(entries) < len(self.images.groups):
                problems.append(
                    f'{dataroot_gt}: sets in it share names. Give the folder of one set.'
                )
        else:
            entries = {
                name: [os.path.join(roots[0], file)] if dataroot_gt else []
                for name, file in stems(roots[0], problems).items()
            }
        self.entries = [
            Entry(name, gt, bool(gt or not dataroot_gt)) for name, gt in entries.items()
        ]
        for kind, root, template in (
            ('lq', dataroot_lq, filename_tmpl),
            ('output', dataroot_restored, restored_tmpl),
        ):
            if root is not None:
                problems += attach(self.entries, kind, root, '{}' if root == roots[0] else template)
        if problems:
            raise DataError(problems)
        self.entries = [entry for entry in self.entries if entry.measured]
        self.dropped = len(entries) - len(self.entries)
        self.several = any(len(entry.gt) > 1 for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read an image.

        Returns:
            ``key``, its name. ``lq``, ``output`` and ``gt``, as far as there are folders of them,
            :math:`(3, H, W)` RGB float32 in [0, 1]; where images have several ground truths, ``gt``
            is a list of such. ``lq_path``, ``output_path``, and ``gt_path``, that of the first
            ground truth.
        """
        entry = self.entries[index]
        item: dict[str, Any] = {'key': entry.name}
        for kind, file in (('lq', entry.lq), ('output', entry.output)):
            if file is not None:
                item |= {kind: read(FILES, file), f'{kind}_path': file}
        if not entry.gt:
            return item
        if 'output' in item:
            height, width = item['output'].shape[1:]
        else:
            height, width = (side * self.scale for side in item['lq'].shape[1:])
        gt = [read(self.images.reader, file)[:, :height, :width] for file in entry.gt]
        item['gt_path'] = self.images.where(entry.gt[0])
        return item | {'gt': gt if self.several else gt[0]}

    def check(self, decode: bool = False) -> list[str]:
        """Look at every file.

        Args:
            decode: Decode the images, too.

        Returns:
            The problems: images that `inspect_image` refuses, or whose sizes do not fit.
        """
        return in_parallel(partial(self._check, decode=decode), self.entries)

    def _check(self, entry: Entry, decode: bool) -> list[str]:
        try:
            gt = {self.images.where(f): size(self.images.reader, f, decode) for f in entry.gt}
            lq, output = (f and size(FILES, f, decode) for f in (entry.lq, entry.output))
        except ValueError as error:
            return [str(error)]
        made = output or tuple(side * self.scale for side in lq)
        place = entry.output or f'{entry.lq}, enlarged {self.scale} times,'
        problems = [
            f'{place} is {in_px(made)}, but its ground truth {name} is {in_px(of_gt)}. Check '
            '`scale`, and that both are of the same test set.'
            for name, of_gt in gt.items()
            if made not in (of_gt, tuple(side // self.scale * self.scale for side in of_gt))
        ]
        if lq and output and lq != tuple(side // self.scale for side in output):
            problems.append(
                f'{place} is {in_px(made)}, but its input {entry.lq} is {in_px(lq)}, which does '
                f'not fit scale {self.scale}.'
            )
        return problems


def chosen(group: Group, sampler: GTSampler) -> list[str]:
    """List the candidates of a group that serve as ground truths."""
    allowed = sampler.allowed_candidates(group.labels)
    return [file for file, use in zip(group.files, allowed, strict=True) if use and file]


def attach(entries: Sequence[Entry], kind: str, root: str, template: str) -> list[str]:
    """Find the file of each entry in a folder.

    Args:
        entries: Their attribute `kind` is set.
        kind: ``lq`` or ``output``.
        root: The folder.
        template: Name of the file, without suffix, made from that of the entry.

    Returns:
        The problems: files that are missing, or that belong to no entry.
    """
    problems: list[str] = []
    found = stems(root, problems)
    wanted = {template.format(entry.name): entry for entry in entries}
    for stem, entry in wanted.items():
        if stem in found:
            setattr(entry, kind, os.path.join(root, found[stem]))
    return (
        problems
        + [
            f"{os.path.join(root, stem)}.*: missing, the {kind} of '{entry.name}'. Add it, or give "
            'the template of the names.'
            for stem, entry in wanted.items()
            if entry.measured and stem not in found
        ]
        + [
            f'{os.path.join(root, found[stem])}: the test set has no image of this name. Remove '
            'it, or give the template of the names.'
            for stem in sorted(found.keys() - wanted.keys())
        ]
    )


def read(reader: Reader, file: str) -> Tensor:
    """Read an image.

    Returns:
        :math:`(3, H, W)` RGB float32 in [0, 1].

    Raises:
        DataError: If it is broken.
    """
    try:
        rgb = reader.image(file)
    except ValueError as error:
        raise DataError(str(error)) from error
    return torch.from_numpy(rgb.transpose(2, 0, 1).astype(np.float32, 'C')).div_(255)


def size(reader: Reader, file: str, decode: bool) -> tuple[int, int]:
    """Inspect an image; a file may be grey, a candidate may not."""
    if reader is not FILES:
        return reader.inspect(file, decode=decode)
    with FILES.open(file) as stream:
        found = inspect_image(stream, file, allow_grey=True)
    if decode:
        FILES.image(file)
    return found
