"""A catalogue of tiny weights, and what they come from: packages, a server, files."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from iqasr.pretrained import cache, catalogue
from iqasr.pretrained.converters import state_dict_of
from iqasr.pretrained.entry import Entry, Package, url_source

WEIGHTS = {'body.weight': torch.arange(6.0).reshape(2, 3), 'body.bias': torch.tensor([1.0, -1.0])}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def content() -> bytes:
    """Bytes of a file of torch that holds WEIGHTS."""
    file = io.BytesIO()
    torch.save(WEIGHTS, file)
    return file.getvalue()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """An empty cache and hub, and no index of packages but a folder."""
    monkeypatch.setenv('IQASR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    for name, value in (
        ('PIP_CONFIG_FILE', '/dev/null'),
        ('PIP_NO_INDEX', '1'),
        ('PIP_FIND_LINKS', str(tmp_path / 'index')),
        ('PIP_NO_CACHE_DIR', '1'),
    ):
        monkeypatch.setenv(name, value)
    (tmp_path / 'index').mkdir()
    return tmp_path


@pytest.fixture
def add_entry(monkeypatch):
    """Put an entry into the catalogue of this test."""

    def add(name: str, *sources, **more) -> Entry:
        entry = Entry(name, 'tiny', 'network', 'CC0-1.0', sources, **more)
        monkeypatch.setitem(catalogue.CATALOGUE, name, entry)
        return entry

    return add


def wheel_of(files: dict[str, bytes]) -> bytes:
    """Make a wheel of ``tinyweights`` 1.0."""
    about = 'Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n'
    tag = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    info = 'tinyweights-1.0.dist-info'
    members = files | {f'{info}/METADATA': about.encode(), f'{info}/WHEEL': tag.encode()}
    members[f'{info}/RECORD'] = ''.join(f'{name},,\n' for name in members).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as wheel:
        for name, value in members.items():
            wheel.writestr(name, value)
    return file.getvalue()


def sdist_of(files: dict[str, bytes]) -> bytes:
    """Make a source distribution of ``tinyweights`` 1.0."""
    setup = "from setuptools import setup\nsetup(name='tinyweights', version='1.0')\n"
    about = 'Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n'
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w:gz') as sdist:
        members = files | {'setup.py': setup.encode(), 'PKG-INFO': about.encode()}
        for name, value in members.items():
            member = tarfile.TarInfo(f'tinyweights-1.0/{name}')
            member.size = len(value)
            sdist.addfile(member, io.BytesIO(value))
    return file.getvalue()


@pytest.fixture
def add_package(folders, add_entry, content):
    """Put an archive of ``tinyweights`` into the index, and the entry ``tiny`` into the list."""

    def add(kind: str = 'whl', *, holds: bytes | None = None, sha: str | None = None) -> Entry:
        files = {} if holds == b'' else {'tinyweights/tiny.pth': holds or content}
        archive, name = {
            'whl': (wheel_of(files), 'tinyweights-1.0-py3-none-any.whl'),
            'tar.gz': (sdist_of(files), 'tinyweights-1.0.tar.gz'),
        }[kind]
        (folders / 'index' / name).write_bytes(archive)
        package = Package('tinyweights==1.0', sha or sha256(archive), len(archive))
        source = package.source(state_dict_of, {'tinyweights/tiny.pth': sha256(content)})
        return add_entry('tiny', source)

    return add


class Server(ThreadingHTTPServer):
    """Serves one file on this machine, with faults as asked for."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.content, self.cuts, self.ranges, self.hold = content, 0, True, None
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get('Range')
        server.requests.append(asked)
        start = int(asked[6:-1]) if asked and server.ranges else 0
        rest = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(rest)))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest[:100])
        self.wfile.flush()
        if server.hold is not None:
            server.hold.wait()
        self.wfile.write(rest[100:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(content):
    """A running server of the file of WEIGHTS."""
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield server
    if server.hold is not None:
        server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def add_url(add_entry, server, content):
    """Put the entry ``tiny`` into the catalogue, at the URL of the server."""

    def add(sha: str = '', **more) -> Entry:
        stated = sha or sha256(content)
        return add_entry('tiny', url_source(server.url, {'tiny.pth': stated}), **more)

    return add


@pytest.fixture
def assert_tiny():
    """Assert that the weights of ``tiny`` are WEIGHTS."""

    def check() -> None:
        found = cache.load_weights('tiny')
        assert found.keys() == WEIGHTS.keys()
        assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())

    return check
