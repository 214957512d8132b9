"""Weights by name: where they come from, and the cache that keeps them."""

from iqasr.pretrained.cache import entry_at, find_weights, is_known, load_weights
from iqasr.pretrained.catalogue import CATALOGUE
from iqasr.pretrained.entry import Entry
from iqasr.pretrained.names import locate_weights, named_entry, notice_of_fetch
