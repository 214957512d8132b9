"""Curation: of photographs, the tiles that are worth training on."""

from iqasr.curation.curate import curate_from_words as curate_from_words
