import pytest
import yaml

from iqasr.evaluation.history import log_scalars
from iqasr.evaluation.result_folder import read_result_folder
from iqasr.report.origin import MOST_POINTS, Origin, differing_options, find_origin
from iqasr.training.run_log import open_board


@pytest.fixture
def trained(make_results, tmp_path):
    """A result whose weights come from a run with a training curve."""
    run = tmp_path / 'experiments' / 'run'
    (run / 'models').mkdir(parents=True)
    (run / 'run.yml').write_text(yaml.safe_dump({'name': 'run', 'train': {'total_iter': 9}}))
    board = open_board(tmp_path / 'tb_logger' / 'run', 0, None, 'run')
    for iteration in range(1, 3 * MOST_POINTS):
        log_scalars(board, {'losses/l_pix': iteration / 2, 'lr': 1.0}, iteration)
    log_scalars(board, {'losses/l_pix': float('nan')}, 3 * MOST_POINTS)
    board.close()
    options = {'name': 'a', 'path': {'pretrain_network_g': str(run / 'models/net_g_9.pth')}}
    return make_results('a', {'psnr': [1.0]}, options=options)


def test_training_is_found_by_the_weights(trained):
    origin = find_origin(read_result_folder(trained))
    assert origin.training == {'name': 'run', 'train.total_iter': '9'}
    assert list(origin.curves) == ['losses/l_pix', 'lr']
    curve = origin.curves['losses/l_pix']
    assert len(curve) == MOST_POINTS
    assert curve[-1] == (3 * MOST_POINTS - 1, (3 * MOST_POINTS - 1) / 2)
    assert all(value == iteration / 2 for iteration, value in curve)


def test_result_without_options_has_no_origin(make_results):
    assert find_origin(read_result_folder(make_results('a', {'psnr': [1.0]}))) == Origin()


def test_packaged_weights_have_no_training(make_results):
    options = {'path': {'pretrain_network_g': 'iqasr/weights/compact_x4.safetensors'}}
    folder = make_results('a', {'psnr': [1.0]}, options=options)
    assert not find_origin(read_result_folder(folder)).curves


def test_only_differing_options_are_listed_and_unknown_ones_are_no_difference():
    origins = [
        Origin({'name': 'a', 'scale': '4', 'tile': '8'}, {'lr': '1'}),
        Origin({'name': 'b', 'scale': '4'}, {'lr': '2'}),
        Origin(),
    ]
    assert differing_options(origins) == {
        'test: tile': ['8', '', ''],
        'training: lr': ['1', '2', ''],
    }
