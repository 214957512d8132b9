"""Stage 1, data: an image and its candidate ground truths, from folders, LMDB or raw store."""

from iqasr.data import (
    candidate_folders,
    candidates,
    checks,
    crop,
    hggt,
    image_files,
    lmdb_reader,
    lmdb_store,
    loader,
    multi_gt_dataset,
    pair_checks,
    quality_map,
    quality_rows,
    quality_table,
    raw_pairs,
    raw_reader,
    raw_store,
    readers,
    sample_dataset,
    store_sources,
)
