"""Translate an option file of a tool built on BasicSR, or an earlier one of ours."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from iqasr.archs.spandrel_networks import find_architecture, network_class
from iqasr.checking.basicsr_datasets import BASICSR_DATASETS
from iqasr.checking.dialects import families
from iqasr.checking.dialects.families import Family
from iqasr.checking.dialects.training_set import (
    TRAIN_SET,
    move_sample_options,
    translate_training_set,
)
from iqasr.checking.dialects.translation import NETWORKS, Translation
from iqasr.checking.dialects.unknown_options import drop_unknown
from iqasr.options.schema import schema_names
from iqasr.options.sections import OURS
from iqasr.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    MODEL_REGISTRY,
    names_in,
    takes_options,
)
from iqasr.runtime.errors import OptionError

OF_DISCRIMINATORS = (
    'network_d',
    'path.pretrain_network_d',
    'train.optim_d',
    'train.net_d_iters',
    'train.net_d_init_iters',
)
"""Options that count only beside ``train.gan_opt``."""


def translate(content: Mapping[str, Any]) -> Translation:
    """Translate an option file of another tool, known by its ``model_type``, into ours.

    A generator that only spandrel knows becomes ``{type: spandrel, arch: ...}`` in every file. In a
    file of ours, ``sampling``, ``quality``, ``degradation`` and ``queue_size`` move from the top
    level into ``datasets.train``, if there is one; the rest stays as it is. So does a file with any
    other ``model_type``.

    Args:
        content: Options as read; left untouched.

    Returns:
        Options of ours, still to be checked, with notes and warnings.

    Raises:
        OptionError: If the file is for another task, or of a tool whose format is another; the
            message names a tool that runs it. Or if an option to be moved is in ``datasets.train``,
            too.
    """
    file = Translation(copy.deepcopy(dict(content)))
    refuse_other_tasks(file)
    name_architecture(file)
    family = find_family(file)
    if family is not None:
        translate_family(file, family)
    else:
        if file.get('model_type') != OURS:
            refuse_other_formats(file)
        if file.get('model_type') in (None, OURS):
            move_sample_options(file)
    return file


def refuse_other_formats(file: Translation) -> None:
    """Refuse a file of a tool whose format is not BasicSR's, told by two options of its own."""
    if str(file.get('model_type')) in names_in(MODEL_REGISTRY):
        return
    for tool, signs in families.SIGNS.items():
        found = [path for path in signs if file.get(path) is not None]
        if len(found) > 1:
            raise OptionError(
                f'{", ".join(found)}: this is an option file of {tool}, whose format is not '
                "BasicSR's; run it there. Or describe the same as options/README.md says; "
                'options/FAMILIES.md lists names there and here.'
            )


def refuse_other_tasks(file: Translation) -> None:
    """Refuse video, faces and other tasks, unless a user has registered a class for them."""
    places = {'model_type': MODEL_REGISTRY}
    places |= {f'{section}.type': DATASET_REGISTRY for section in file.sections('datasets')}
    places |= {f'{key}.type': ARCH_REGISTRY for key in NETWORKS}
    for path, registry in places.items():
        name = str(file.get(path))
        found = names_in(registry).get(name)
        own = found is not None and not found.__module__.startswith('basicsr.')
        if name in families.REFUSED and not own:
            raise OptionError(f'{path}: {name} {families.REFUSED[name]}.')


def name_architecture(file: Translation) -> None:
    """Name a generator that is registered nowhere, but known to spandrel, as ours do."""
    name = file.get('network_g.type')
    if not isinstance(name, str) or name in names_in(ARCH_REGISTRY):
        return
    arch = find_architecture(name)
    if arch is None:
        return
    file.put('network_g.type', 'spandrel')
    section = file.options['network_g']
    section['arch'] = arch
    for key, value in families.NETWORK_DEFAULTS.get(arch, {}).items():
        section.setdefault(key, value)
    for key in families.NETWORK_IDLE.get(arch, ()):
        file.drop(f'network_g.{key}', f'left out: {arch} does not use it.')
    if 'use_checkpoint' not in schema_names(network_class(arch)):
        reason = f'left out: it trades time for memory, and {arch} here has no such option.'
        file.drop('network_g.use_checkpoint', reason)


def find_family(file: Translation) -> Family | None:
    """Find the family of a file.

    A model that is not known, but called after its network, is taken for one that adds nothing to
    BasicSR's; so are those of the networks that are known.
    """
    name, arch = str(file.get('model_type')), file.get('network_g.arch')
    if name in families.FAMILIES or name in names_in(MODEL_REGISTRY):
        return families.FAMILIES.get(name)
    if arch is None or name.casefold() != f'{arch}model'.casefold():
        return None
    reason = (
        f'is taken for a model that trains {arch} as BasicSR would; nothing else is known of it.'
    )
    file.warn('model_type', f'{name} {reason}')
    return Family(f'a tool for {arch}')


def translate_family(file: Translation, family: Family) -> None:
    """Translate every section of a file of another tool."""
    drop_empty(file.options)
    tell_batch(file)
    file.notes.append(f'model_type: {file.pop("model_type")} -> {OURS} ({family.tool})')
    file.options['model_type'] = OURS
    translate_tiles(file)
    for old, new in families.MOVED.items():
        file.move(old, new)
    for path in file.sections('datasets'):
        if takes_whole_section(file.get(path)):
            continue
        for old, new in families.MOVED_IN_DATASETS.items():
            file.move(f'{path}.{old}', f'{path}.{new}')
        reason = 'batches are loaded ahead by num_worker_per_gpu processes.'
        file.drop(f'{path}.num_prefetch_queue', reason)
    for path in NETWORKS:
        for key, value in families.NETWORKS.get(str(file.get(f'{path}.type')), {}).items():
            file.put(f'{path}.{key}', value)
    translate_terms(file, family)
    translate_training_set(file)
    translate_sharpening(file, family)
    drop_unused(file)
    drop_unknown(file)


def translate_tiles(file: Translation) -> None:
    """Translate how large images are restored; padding is left to the network."""
    if not file.pop('tile_process'):  # then tiles are only described
        file.pop('tile_size')
        file.pop('tile_pad')
    for name in ('tile_size', 'tile_pad'):  # HAT and DRCT
        file.move(f'tile.{name}', families.MOVED[name])
    if file.get('tile') == {}:
        file.pop('tile')
    if file.pop('val.use_chop'):
        file.put('val.tile_px', families.CHOP_PX, 'val.use_chop')
        file.put('val.tile_overlap_px', families.CHOP_OVERLAP_PX, 'val.use_chop')
        file.warn('val.use_chop', 'becomes tiles; there, the pieces of an image have one size.')
    if file.pop('pre_pad'):
        file.warn('pre_pad', 'images are extended as far as the network asks for it.')


def tell_batch(file: Translation) -> None:
    """Say what a step sees, where BasicSR alone would put the samples of several GPUs into it."""
    count, batch = file.get('num_gpu'), file.get(f'{TRAIN_SET}.batch_size_per_gpu')
    if isinstance(count, int) and count > 1 and isinstance(batch, int):
        reason = (
            f'{count} GPUs: with {count} processes (torchrun), a step sees {count * batch} samples '
            f'here as there. One process sees {batch}, as it has one GPU; without a launcher, '
            f'BasicSR gives it {count * batch}. train.accumulate: {count} makes up for that.'
        )
        file.warn('num_gpu', reason)


def drop_empty(section: dict[str, Any]) -> None:
    """Remove options that are written without a value (``~``), at every depth.

    In the section of a network they stay: ``~`` is a value, and the default another one.
    """
    for key, value in [*section.items()]:
        if value is None:
            del section[key]
        elif isinstance(value, dict) and key not in NETWORKS and not takes_whole_section(value):
            drop_empty(value)


def takes_whole_section(section: Mapping[str, Any]) -> bool:
    """Tell whether a section goes as one dict to a user's data set, so that all of it counts."""
    name = str(section.get('type'))
    cls = names_in(DATASET_REGISTRY).get(name)
    known = name in BASICSR_DATASETS or name in families.DEGRADING_DATASETS
    return cls is not None and takes_options(cls) and not known


def translate_terms(file: Translation, family: Family) -> None:
    """Name the losses whose definition is part of a model there, and of a loss here."""
    for key, (there, here, constants) in families.TERMS.items():
        path = f'train.{key}'
        if file.get(f'{path}.type') != there or (there == 'GANLoss' and not family.relativistic):
            continue
        file.put(f'{path}.type', here)
        for name, value in constants.items():
            if file.pop(f'{path}.{name}') not in (None, value):
                file.warn(f'{path}.{name}', f'is always {value} here.')
        file.get(path).setdefault('loss_weight', 1.0)


def translate_sharpening(file: Translation, family: Family) -> None:
    """Collect what is sharpened; of the switches, a model reads its own only."""
    degraded = file.get(f'{TRAIN_SET}.degradation') is not None
    sharpened = ['degraded'] if degraded and family.sharpens == 'terms' else []
    for key, name in families.SWITCHES.items():
        value, original = file.pop(key), name == 'original'
        read = family.sharpens == ('original' if original else 'terms')
        if value is not None and (not read or (original and not degraded)):
            file.warn(key, 'left out: its model does not read it for this data.')
        elif value is True and (original or file.get(f'train.{name}_opt') is not None):
            sharpened.append(name)
    if sharpened:
        file.put('sharpen', sharpened)


def drop_unused(file: Translation) -> None:
    """Leave out a discriminator without its term, and sets of a file that never validates."""
    if file.get('train') is None:
        return
    if file.get('train.gan_opt') is None:
        for path in OF_DISCRIMINATORS:
            file.drop(path, 'left out, since there is no train.gan_opt.')
    if file.get('val.val_freq') is None:
        for path in file.sections('datasets'):
            if re.match(r'datasets\.val(_|$)', path):
                file.drop(path, 'left out, since there is no val.val_freq.')
