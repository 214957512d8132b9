import pytest


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """No pretrained weights are here, and none can be fetched."""

    def offline(*_, **__):
        raise OSError('no network')

    for name in ('TORCH_HOME', 'IQASR_CACHE'):
        monkeypatch.setenv(name, str(tmp_path))
    for source in ('PackageSource', 'UrlSource'):
        monkeypatch.setattr(f'iqasr.pretrained.sources.{source}.fetch', offline)
