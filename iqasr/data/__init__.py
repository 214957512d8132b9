"""Stage 1, data: an image and its candidate ground truths, from folders or LMDB."""

from iqasr.data import (
    candidate_folders,
    candidates,
    checks,
    evaluation_dataset,
    hggt,
    image_files,
    lmdb_reader,
    lmdb_store,
    loader,
    multi_gt_dataset,
    pair_checks,
    quality_rows,
    quality_table,
    sample_dataset,
)
