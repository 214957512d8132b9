"""Every network whose weights can be asked for by name.

Hashes of packages and of the files in them were taken from the packages. Those of URLs are what
their publishers say: in full, or the first eight digits, which torch and pyiqa put into the name of
a file; where nothing is published the hash is empty.
"""

from iqasr.pretrained.entry import Entry
from iqasr.pretrained.features import FEATURES
from iqasr.pretrained.metrics import METRICS
from iqasr.pretrained.networks import NETWORKS

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in (*NETWORKS, *FEATURES, *METRICS)}
"""The entries by name."""
