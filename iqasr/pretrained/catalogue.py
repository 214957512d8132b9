"""Every network whose weights can be asked for by name.

Hashes of packages and of the files in them were taken from the packages. Those of URLs are what
their publishers say: in full, or the first eight digits, which torch and pyiqa put into the name of
a file; where nothing is published the hash is empty.
"""

from iqasr.pretrained.entry import Entry
from iqasr.pretrained.features import FEATURES
from iqasr.pretrained.metrics import METRICS
from iqasr.pretrained.networks import NETWORKS
from iqasr.registry import nearest

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in (*NETWORKS, *FEATURES, *METRICS)}
"""The entries by name."""

SAME_WEIGHTS = dict.fromkeys(
    ('realesr-animevideov3-x2', 'realesr-animevideov3-x3'), 'realesr-animevideov3-x4'
)
"""Published names that stand for the weights of an entry, with a reduction of its output."""


def suggest_weights(name: str) -> str:
    """Suggest weights to somebody who asks for some that are not in the catalogue.

    Returns:
        Sentences to append to an error message.
    """
    hint = nearest(name, CATALOGUE)
    if name in SAME_WEIGHTS:
        hint = (
            f" Published under that name are the weights of '{SAME_WEIGHTS[name]}', byte by byte; "
            'use that, and reduce its output.'
        )
    return f'{hint} All names: iqasr-weights list.'
