"""Logging never ends a run."""

import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from iqasr.training.run_log import open_board


def test_board_writes_while_it_can(tmp_path):
    board = open_board(tmp_path, 0, None, 'run')
    board.add_scalar('loss', 0.5, 3)
    board.close()
    [event] = EventAccumulator(str(tmp_path)).Reload().Scalars('loss')
    assert (event.step, event.value) == (3, 0.5)


# Its thread dies and says so.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_full_disk_ends_the_board_with_one_warning(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, 'iqasr')
    monkeypatch.setattr(logging.getLogger('iqasr'), 'propagate', True)
    board = open_board(tmp_path, 0, None, 'run')

    def full_disk(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('tensorboard.summary.writer.record_writer.RecordWriter.write', full_disk)
    for iteration in range(300):  # more than the queue of its thread holds
        board.add_scalar('loss', 0.5, iteration)
    board.close()
    [record] = caplog.records
    assert str(tmp_path) in record.getMessage()
    assert 'No space left on device' in record.getMessage()


@pytest.mark.parametrize('name', ['file', 'file/below'])
def test_folder_that_cannot_be_made_ends_the_board(name, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, 'iqasr')
    monkeypatch.setattr(logging.getLogger('iqasr'), 'propagate', True)
    (tmp_path / 'file').write_text('text')
    board = open_board(tmp_path / name, 0, None, 'run')
    board.add_scalar('loss', 0.5, 0)
    board.add_image('none', None, 0)
    board.close()
    assert len(caplog.records) == 1
