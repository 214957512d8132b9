"""Translate an option file of BasicSR, Real-ESRGAN, LDL or HGGT into ours.

Source:
    See `iqasr.checking.dialects.families`.
"""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from iqasr.checking.dialects.account import Account
from iqasr.checking.dialects.degradation import left_over, take_degradation
from iqasr.checking.dialects.families import (
    FAMILIES,
    IGNORED,
    NETWORKS,
    OURS,
    REFUSED,
    RENAMED,
    SOURCES,
    TERM_OF,
    TERMS,
    Family,
    Source,
)
from iqasr.checking.dialects.unknown import drop_unknown
from iqasr.runtime.errors import OptionError

Named = TypeVar('Named')

MARGIN = 64
POOL = 180
"""Size of Real-ESRGAN's and HGGT's pool of pairs where the file says nothing."""


def adopt(content: Mapping[str, Any]) -> tuple[dict[str, Any], Account]:
    """Translate an option file, if its ``model_type`` is that of another tool.

    Args:
        content: Options as read; left untouched.

    Returns:
        Options of ours, still to be checked, and what became of those read.

    Raises:
        OptionError: If it asks for what is not done here; the message names the tool that does it.
    """
    content = copy.deepcopy(dict(content))
    refuse_other_tasks(content)
    family = named_in(FAMILIES, content.get('model_type'))
    account = Account()
    if family is not None:
        Adoption(content, family, account).run()
    return content, account


def refuse_other_tasks(content: Mapping[str, Any]) -> None:
    """Refuse video, faces and what else is not done here.

    Raises:
        OptionError: With the option that tells it, and the name of the tool that does it.
    """
    sections = {f'datasets.{key}': value for key, value in sections_of(content, 'datasets')}
    sections |= {key: content.get(key) for key in ('network_g', 'network_d')}
    types = {'model_type': content.get('model_type')}
    types |= {f'{k}.type': v.get('type') for k, v in sections.items() if isinstance(v, Mapping)}
    for path, name in types.items():
        if isinstance(name, str) and name in REFUSED:
            raise OptionError(f'{path}: {name} {REFUSED[name]}.')


def named_in(known: Mapping[str, Named], name: Any) -> Named | None:
    """Find what a name stands for; the check refuses what is no name."""
    return known.get(name) if isinstance(name, str) else None


def sections_of(content: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """List the sections below one, with their names."""
    inner = content.get(key)
    pairs = inner.items() if isinstance(inner, Mapping) else ()
    return [(name, section) for name, section in pairs if isinstance(section, dict)]


class Adoption:
    """Translation of one option file, in place.

    Args:
        content: Options as read.
        family: What its ``model_type`` stands for.
        account: What becomes of them.
    """

    def __init__(self, content: dict[str, Any], family: Family, account: Account) -> None:
        self.content = content
        self.family = family
        self.account = account

    def run(self) -> None:
        """Translate every section."""
        content = self.content
        self.account.note('model_type', content['model_type'], f'{OURS} ({self.family.tool})')
        content['model_type'] = OURS
        self.rename()
        self.ignore()
        drop_empty(content)
        self.tiles()
        self.networks()
        self.terms()
        self.training_set()
        self.sharpening()
        self.adversary()
        self.validation()
        drop_unknown(content, self.account)

    def rename(self) -> None:
        """Give options their present name; sections of data sets are alike."""
        places = [(key, self.content.get(key)) for key in ('path', 'train')]
        places += [(f'datasets.{k}', v) for k, v in sections_of(self.content, 'datasets')]
        for path, section in places:
            for old, new in RENAMED[path.split('.')[0]].items():
                if not isinstance(section, dict) or old not in section:
                    continue
                if new in section:
                    self.account.warn(f'{path}.{old}', f'left out, since {new} is given, too.')
                    del section[old]
                    continue
                self.account.note(f'{path}.{old}', None, new)
                section[new] = section.pop(old)

    def ignore(self) -> None:
        """Leave out what changes nothing here."""
        for path, reason in IGNORED.items():
            *before, key = path.split('.')
            places = sections_of(self.content, before[0]) if before else [('', self.content)]
            for name, section in places:
                if section.pop(key, None):
                    self.account.warn('.'.join([*before, name, key]).strip('.'), reason)

    def tiles(self) -> None:
        """Restore images in tiles if they are asked for, not only described."""
        content = self.content
        side, overlap = content.pop('tile_size', None), content.pop('tile_pad', 0)
        asked = content.pop('tile_process', False)
        if side and asked:
            content['val'] = content.get('val', {}) | {'tile_px': side, 'tile_overlap_px': overlap}
            self.account.note(
                'tile_size, tile_pad', [side, overlap], 'val.tile_px, tile_overlap_px'
            )
        elif side:
            self.account.note('tile_process', asked, 'images are restored whole')

    def networks(self) -> None:
        """Call networks by their present name."""
        for path in ('network_g', 'network_d'):
            section = self.content.get(path)
            known = named_in(NETWORKS, section.get('type')) if isinstance(section, dict) else None
            if known is not None:
                now = ', '.join(f'{key}: {value}' for key, value in known.items())
                self.account.note(f'{path}.type', section['type'], now)
                section |= known

    def terms(self) -> None:
        """Name the losses whose definition is part of a model there, and of a loss here."""
        for key, section in sections_of(self.content, 'train'):
            path, was = f'train.{key}', section.get('type')
            if key in TERMS and was == 'L1Loss':
                self.account.note(f'{path}.type', was, TERMS[key])
                kept = {'type': TERMS[key], 'loss_weight': section.get('loss_weight', 1.0)}
                self.content['train'][key] = kept
            elif key == 'gan_opt' and was == 'GANLoss' and self.family.relativistic:
                self.account.note(f'{path}.type', was, 'RelativisticGANLoss')
                section['type'] = 'RelativisticGANLoss'
                for label, value in (('real_label_val', 1), ('fake_label_val', 0)):
                    if section.pop(label, value) != value:
                        self.account.warn(f'{path}.{label}', f'is always {value} here.')

    def training_set(self) -> None:
        """Turn a data set that degrades its images into data set, sampling and degradation."""
        content = self.content
        dataset = dict(sections_of(content, 'datasets')).get('train')
        source = named_in(SOURCES, dataset.get('type')) if dataset is not None else None
        if source is not None:
            self.degraded_set(dataset, source)
            return
        places = [('', content)] + ([('datasets.train.', dataset)] if dataset else [])
        useless = [(before, place, key) for before, place in places for key in left_over(place)]
        useless += [('', content, key) for key in ('queue_size', 'gt_size') if key in content]
        for before, place, key in useless:
            del place[key]
            self.account.warn(before + key, 'left out, since nothing is degraded here.')
        if content.pop('high_order_degradation', dataset is None) and dataset is not None:
            reason = f'{dataset.get("type")} is paired, and is not degraded.'
            self.account.warn('high_order_degradation', reason)

    def degraded_set(self, dataset: dict[str, Any], source: Source) -> None:
        """Take apart a data set that degrades its images."""
        content, account, path = self.content, self.account, 'datasets.train'
        if content.pop('high_order_degradation', True) is False:
            reason = f'is false, but {dataset["type"]} has no LQ; its images are degraded.'
            account.warn('high_order_degradation', reason)
        was, scale = dataset['type'], content.get('scale')
        dataset['type'] = 'MultiGTDataset'
        account.note(f'{path}.type', was, 'MultiGTDataset')
        if source.originals:
            dataset['originals'] = True
            account.note(f'{path}.type', was, f'{path}.originals: true')
        elif not source.labels and 'dataroot_labels' in dataset:
            account.warn(f'{path}.dataroot_labels', f'{was} asks nobody; left out.')
            del dataset['dataroot_labels']
        dataset.pop('io_backend', None)  # told from the folder
        if isinstance(scale, int) and scale > 0 and MARGIN % scale:
            dataset['margin'] = MARGIN // scale * scale
        content['sampling'] = {'type': 'UniformSampler', 'candidates': source.candidates}
        account.note(f'{path}.type', was, f'sampling.candidates: {source.candidates}')
        largest = dataset.get('blur_kernel_size_max')
        if not source.largest_kernel and isinstance(largest, int):
            dataset['blur_kernel_size_max'] = largest - 1
            account.note(
                f'{path}.blur_kernel_size_max', largest, f'{largest - 1}: {was} stops before'
            )
        section = take_degradation(content, dataset, source.stages, account)
        content['degradation'] = section
        account.note(f'{path}.type', was, f'degradation.type: {section["type"]}')
        side = content.pop('gt_size', None)
        if side is not None:
            if dataset.get('gt_size', side) != side:
                reason = (
                    f'{dataset["gt_size"]} is left out: gt_size of the top level, {side}, crops.'
                )
                account.warn(f'{path}.gt_size', reason)
            account.note('gt_size', side, f'{path}.gt_size')
            dataset['gt_size'] = side
        self.pool(dataset.get('batch_size_per_gpu', 1))

    def pool(self, batch: Any) -> None:
        """Make the pool of pairs a multiple of the batch, as it must be."""
        size = self.content.setdefault('queue_size', POOL)
        if not all(isinstance(n, int) and n > 0 for n in (size, batch)) or size % batch == 0:
            return
        self.content['queue_size'] = size // batch * batch
        reason = f'{size} is no multiple of the batch, {batch}: {size // batch * batch} instead.'
        self.account.warn('queue_size', reason)

    def sharpening(self) -> None:
        """Collect what is sharpened; of the switches, a model reads its own only."""
        content, reads = self.content, self.family.sharpens
        terms = dict(sections_of(content, 'train'))
        degraded = 'degradation' in content
        if degraded and reads is TERM_OF:
            content['sharpen'] = ['degraded']
            self.account.note('degradation', None, 'sharpen: degraded')
        for key in ('gt_usm', 'l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm'):
            if key not in content:
                continue
            value, what = content.pop(key), reads.get(key)
            if what is None or (what == 'original' and not degraded):
                self.account.warn(key, 'left out: its model does not read it for this data.')
            elif value is True and (what == 'original' or f'{what}_opt' in terms):
                content.setdefault('sharpen', []).append(what)
                self.account.note(key, value, f'sharpen: {what}')

    def adversary(self) -> None:
        """Leave out a discriminator that no term asks."""
        train = self.content.get('train')
        if isinstance(train, dict) and 'gan_opt' not in train:
            for place, key in ((self.content, 'network_d'), (train, 'optim_d')):
                if place.pop(key, None) is not None:
                    self.account.warn(key, 'left out, since there is no train.gan_opt.')

    def validation(self) -> None:
        """Leave out validation sets when a file never validates, as BasicSR does."""
        val, train = self.content.get('val'), self.content.get('train')
        if train is None or (isinstance(val, dict) and 'val_freq' in val):
            return
        for key, _ in sections_of(self.content, 'datasets'):
            if key.split('_')[0] == 'val':
                del self.content['datasets'][key]
                self.account.warn(f'datasets.{key}', 'left out, since there is no val.val_freq.')


def drop_empty(section: dict[str, Any]) -> None:
    """Remove options that are written without a value (``~``), at every depth."""
    for key in [key for key, value in section.items() if value is None]:
        del section[key]
    for value in section.values():
        if isinstance(value, dict):
            drop_empty(value)
