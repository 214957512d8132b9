#!/usr/bin/env bash
# From a fresh machine to trained networks, a table and a picture, without a download but packages:
# photographs with candidate ground truths -> baseline and AMO training -> test -> report.
set -euo pipefail
source "$(dirname "$0")/setup_env.sh"

[ -d datasets/sample ] || python scripts/make_sample_dataset.py -o datasets/sample
for variant in original amo; do
  python iqasr/train.py -opt "options/train/quickstart_${variant}_x4.yml" --auto_resume
done
for variant in bicubic original amo; do
  python iqasr/test.py -opt "options/test/quickstart_${variant}_x4.yml"
done
python scripts/make_report.py -i results/bicubic results/original results/amo -o results/report
