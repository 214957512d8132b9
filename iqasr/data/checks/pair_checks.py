"""Check pairs of ground truth and low-quality input before a run meets them."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from iqasr.data.files.image_files import SUFFIXES, image_names
from iqasr.data.files.inspection import in_parallel, in_px, inspect_each
from iqasr.data.files.readers import FileReader
from iqasr.data.stores.lmdb_reader import read_sizes
from iqasr.data.stores.raw_reader import is_raw, open_raw

Size: TypeAlias = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class PairRules:
    """Requirements on the images of a pair."""

    scale: int
    """Up-sampling factor."""
    exact: bool
    """Ask that each GT is exactly `scale` times its LQ; otherwise that the LQ has the size of the
    GT divided by `scale` and rounded down."""
    min_size: int = 1
    """Least height and width of a GT, in pixels."""
    allow_grey: bool = True
    """Accept greyscale images."""
    filename_tmpl: str = '{}'
    """Name of an LQ, without suffix, made from that of its GT, as in BasicSR."""

    def check_all(self, pairs: Mapping[tuple[str, str], tuple[Size, Size]]) -> list[str]:
        """Check the sizes of all pairs (GT, LQ) of files; returns the problems."""
        ratios = {ratio_of(gt, lq) for gt, lq in pairs.values()}
        fits = any(self.fits(gt, lq) for gt, lq in pairs.values())
        if len(ratios) == 1 and None not in ratios and not fits:
            (found,) = ratios
            (gt, lq), (gt_size, lq_size) = next(iter(pairs.items()))
            return [
                f'{gt}: {in_px(gt_size)}, its LQ {lq} {in_px(lq_size)}: this pair, as all here, is '
                f'for scale {found}, but scale is {self.scale}. Set scale: {found}, or give other '
                'data.'
            ]
        return [p for pair, sizes in pairs.items() for p in self.check(pair, *sizes)]

    def fits(self, gt: Size, lq: Size) -> bool:
        """Tell whether an LQ is as large as its GT divided by the scale, rounded down."""
        return lq == (gt[0] // self.scale, gt[1] // self.scale)

    def check(self, pair: tuple[str, str], gt: Size, lq: Size) -> list[str]:
        """Check the sizes of a pair (GT, LQ) of files; returns the problems."""
        problems = []
        enlarged = lq[0] * self.scale, lq[1] * self.scale
        if not self.fits(gt, lq) or (self.exact and gt != enlarged):
            problems.append(
                f'{pair[0]}: {in_px(gt)}, but its LQ {pair[1]} is {in_px(lq)}, which does not '
                f'fit scale {self.scale}. Make the GT {in_px(enlarged)}.'
            )
        if min(gt) < self.min_size:
            problems.append(
                f'{pair[0]}: {in_px(gt)}, at least {self.min_size} px are needed each way. Remove '
                'the pair, or lower gt_size.'
            )
        return problems


def check_pairs(gt_folder: str, lq_folder: str, rules: PairRules) -> list[str]:
    """Check a paired data set of two folders.

    Returns:
        The problems: images without partner, of the wrong size, or that `inspect_image` refuses.
    """
    partner = {}
    for name in image_names(gt_folder):
        stem, suffix = os.path.splitext(name)
        partner[name] = rules.filename_tmpl.format(stem) + suffix
    lq_names = set(image_names(lq_folder))
    ending = _common_ending(partner, lq_names)
    if ending and not lq_names & set(partner.values()):
        reason = f'the names of {gt_folder} end in {ending} here'
        return [f"{lq_folder}: {reason}. Set filename_tmpl: '{{}}{ending}'."]
    problems = _report_unpaired(gt_folder, lq_folder, partner, lq_names)
    if not partner:
        problems.append(f'{gt_folder}: holds no image ({", ".join(SUFFIXES)}).')
    pairs = [(gt, lq) for gt, lq in partner.items() if lq in lq_names]
    return problems + _check_files(_join(gt_folder, lq_folder, pairs), rules)


def check_listed_pairs(gt_root: str, lq_root: str, listing: str, rules: PairRules) -> list[str]:
    """Check the pairs that a text file lists, as Real-ESRGAN does: ``<gt>, <lq>`` in each line.

    Returns:
        The problems.
    """
    try:
        with open(listing, encoding='utf-8-sig') as lines:
            pairs = [line.strip().split(', ') for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        return [f'{listing}: cannot be read as a list of pairs ({error}).']
    wrong = [number for number, pair in enumerate(pairs, 1) if len(pair) != 2]
    if wrong or not pairs:
        lines = ', '.join(map(str, wrong)) or 'none'
        return [f'{listing}: write a pair in each line, as `gt.png, lq.png`. Wrong lines: {lines}.']
    paths = _join(gt_root, lq_root, pairs)
    missing = {path for pair in paths for path in pair if not os.path.isfile(path)}
    problems = [f'{path}: missing, but listed in {listing}.' for path in sorted(missing)]
    return problems + _check_files([pair for pair in paths if not missing & set(pair)], rules)


def check_store_pairs(gt_store: str, lq_store: str, rules: PairRules) -> list[str]:
    """Check a paired data set of two LMDBs or two raw stores, both whole, by the sizes they list.

    Returns:
        The problems: images without partner, or of the wrong size.
    """
    gt_sizes, lq_sizes = _sizes_in(gt_store), _sizes_in(lq_store)
    partner = {key: rules.filename_tmpl.format(key) for key in gt_sizes}
    problems = _report_unpaired(gt_store, lq_store, partner, lq_sizes.keys())
    pairs = [(gt, lq) for gt, lq in sorted(partner.items()) if lq in lq_sizes]
    sizes = [(gt_sizes[gt], lq_sizes[lq]) for gt, lq in pairs]
    places = _join(gt_store, lq_store, pairs)
    return problems + rules.check_all(dict(zip(places, sizes, strict=True)))


def ratio_of(gt: Size, lq: Size) -> int | None:
    """Return how many times the GT is as large as the LQ, rounded down; None if that is no one."""
    found = gt[0] // lq[0]
    return found if found and lq == (gt[0] // found, gt[1] // found) else None


def _join(gt_root: str, lq_root: str, pairs: Iterable[Collection[str]]) -> list[tuple[str, str]]:
    return [(os.path.join(gt_root, gt), os.path.join(lq_root, lq)) for gt, lq in pairs]


def _sizes_in(store: str) -> dict[str, Size]:
    if not is_raw(store):
        return read_sizes(store)
    return {key: (image.height, image.width) for key, image in open_raw(store)[0].images.items()}


def _report_unpaired(
    gt_root: str, lq_root: str, partner: Mapping[str, str], lq_names: Collection[str]
) -> list[str]:
    """Report images without partner; `partner` is the name of the LQ by that of the GT."""
    problems = [
        f'{os.path.join(lq_root, name)}: missing. It is the LQ of {os.path.join(gt_root, gt)}.'
        for gt, name in partner.items()
        if name not in lq_names
    ]
    problems += [
        f'{os.path.join(lq_root, name)}: has no GT in {gt_root}. Add it, or remove the LQ.'
        for name in sorted(set(lq_names) - set(partner.values()))
    ]
    return problems


def _common_ending(gt_names: Collection[str], lq_names: Collection[str]) -> str | None:
    """Find the one ending by which all LQ stems differ from a GT stem, if there is one."""
    gt_stems, lq_stems = ({os.path.splitext(n)[0] for n in names} for names in (gt_names, lq_names))
    first = min(lq_stems, default='')
    endings = [first.removeprefix(stem) for stem in gt_stems if first.startswith(stem)]
    for ending in sorted(filter(None, endings)):
        if all(s.endswith(ending) and s.removesuffix(ending) in gt_stems for s in lq_stems):
            return ending
    return None


def _check_files(pairs: Iterable[tuple[str, str]], rules: PairRules) -> list[str]:
    reader = FileReader(allow_grey=rules.allow_grey, of_basicsr=True)

    found: dict[tuple[str, str], tuple[Size, Size]] = {}

    def inspect(pair: tuple[str, str]) -> list[str]:
        problems: list[str] = []
        sizes = inspect_each(reader, pair, problems)
        if not problems:
            found[pair] = sizes[pair[0]], sizes[pair[1]]
        return problems

    pairs = list(pairs)
    problems = in_parallel(inspect, pairs)
    return problems + rules.check_all({pair: found[pair] for pair in pairs if pair in found})
