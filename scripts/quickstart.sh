#!/usr/bin/env bash
# From a fresh machine to the whole paper in small, without a download but packages: photographs
# with candidate ground truths -> training on originals, by AMO, AMO + FT -> test -> report.
set -euo pipefail
source "$(dirname "$0")/setup_env.sh"

[ -d datasets/sample ] || python scripts/make_sample_dataset.py -o datasets/sample
for stage in original amo amo_finetune; do
  python iqasr/train.py -opt "options/train/quickstart_${stage}_x4.yml" --auto_resume
done
test_stage() { # name, then further options
  python iqasr/test.py -opt options/test/quickstart_x4.yml --force_yml "name=$1" "${@:2}"
}
test_stage bicubic 'network_g={type: Bicubic, upscale: 4}' path:pretrain_network_g=null
for stage in original amo amo_finetune; do
  test_stage "$stage" "path:pretrain_network_g=experiments/quickstart_${stage}_x4/models/net_g_latest.pth"
done
python scripts/make_report.py results/{bicubic,original,amo,amo_finetune} -o results/report/report.html
