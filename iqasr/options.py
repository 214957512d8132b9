"""Read an option file, and report everything that is wrong with it at once.

An option file is YAML in BasicSR's spelling (options/README.md). Sections that build something
(``type:``) are checked against the constructor of what they build; the others are the pydantic
models below.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from iqasr.archs.lora_options import LoRAOptions
from iqasr.registry import nearest
from iqasr.schema import Problems


class OptionError(ValueError):
    """An option file that cannot be used; the message lists every problem."""


class Section(BaseModel):
    """A section of fixed options; unknown names are errors."""

    model_config = ConfigDict(extra='forbid')


RECOGNISED = {'type': 'spandrel'}
"""The section ``network_g`` of a network that is recognised from its weights."""

Name = Annotated[str, Field(pattern=r'^\w[\w.+-]*$')]
"""A name that becomes part of a path."""


class LoaderOptions(Section):
    """How a data set is read, beside what its own constructor takes."""

    name: Name | None = None
    type: str
    batch_size_per_gpu: PositiveInt = 1
    num_worker_per_gpu: int = Field(0, ge=0)
    dataset_enlarge_ratio: float = Field(1, ge=1)
    use_shuffle: bool = True
    prefetch_mode: str | None = None
    pin_memory: bool = False
    persistent_workers: bool = True


class QualityOptions(Section):
    """Where the quality of the candidate ground truths comes from.

    From a file made by scripts/score_candidates.py: ``table``, one number per image, or ``map``,
    one per crop; without, from ``scorer``, which then scores every candidate of the training crop
    itself.
    """

    table: str | None = None
    map: str | None = None
    scorer: str | dict[str, Any] | None = None
    norm: Literal['none', 'range01', 'zscore_set', 'zscore_dataset'] = 'none'

    @property
    def online(self) -> bool:
        """Whether crops are scored while training."""
        return self.table is None and self.map is None


class TrainOptions(Section):
    """The training sum (``<name>_opt``, one term each) and how it is minimised."""

    total_iter: PositiveInt
    warmup_iter: int = -1
    ema_decay: float = Field(0, ge=0, lt=1)
    accumulate: PositiveInt = 1
    clip_grad_norm: float | None = Field(None, gt=0)
    amp: Literal['none', 'bf16', 'fp16'] = 'none'
    speed: Literal['plain', 'channels_last', 'auto', 'compile'] = 'plain'
    optim_g: dict[str, Any]
    optim_d: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    net_d_iters: PositiveInt = 1
    net_d_init_iters: int = Field(0, ge=0)
    terms: dict[str, dict[str, Any]] = Field(default_factory=dict, alias='*_opt')


class GuardOptions(Section):
    """Which metrics of ``val.metrics`` are watched for a score that rises while others fall."""

    optimised: str
    held_out: list[str] = Field(min_length=1)
    alarm: PositiveInt | None = None
    tolerance: float = Field(2.0, ge=0)
    patience: PositiveInt | None = None


class ValOptions(Section):
    """How a network is validated (training) or tested (test script)."""

    val_freq: PositiveInt | None = None
    save_img: bool = False
    suffix: str | None = None
    pbar: bool = True
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    guard: GuardOptions | None = None


class WandbOptions(Section):
    """Mirror TensorBoard to Weights & Biases, if a project is named."""

    project: str | None = None
    resume_id: str | None = None


class LoggerOptions(Section):
    """What is written while training."""

    print_freq: PositiveInt = 100
    save_checkpoint_freq: PositiveInt = 5000
    keep_checkpoints: PositiveInt | None = None
    use_tb_logger: bool = True
    wandb: WandbOptions | None = None


class PathOptions(Section):
    """Weights to start from."""

    pretrain_network_g: str | None = None
    param_key_g: str = 'params'
    strict_load_g: bool = True
    pretrain_network_d: str | None = None
    param_key_d: str = 'params'
    strict_load_d: bool = True
    resume_state: str | None = None
    root: str | None = None


class Options(Section):
    """A whole option file."""

    name: Name
    model_type: str = 'RestorationModel'
    scale: PositiveInt
    num_gpu: int | Literal['auto'] = 'auto'
    manual_seed: int | None = None
    datasets: dict[str, dict[str, Any]]
    sampling: dict[str, Any] | None = None
    quality: QualityOptions | None = None
    degradation: dict[str, Any] | None = None
    queue_size: int = Field(0, ge=0)
    network_g: dict[str, Any] = Field(default_factory=lambda: dict(RECOGNISED))
    lora: LoRAOptions | None = None
    network_d: dict[str, Any] | None = None
    path: PathOptions = Field(default_factory=PathOptions)
    train: TrainOptions | None = None
    val: ValOptions = Field(default_factory=ValOptions)
    logger: LoggerOptions = Field(default_factory=LoggerOptions)
    dist_params: dict[str, Any] | None = None
    find_unused_parameters: bool = False

    def datasets_of(self, phase: str) -> dict[str, dict[str, Any]]:
        """Select the data sets whose key starts with ``train``, ``val`` or ``test``."""
        return {key: value for key, value in self.datasets.items() if key.split('_')[0] == phase}

    def as_yaml(self) -> str:
        """Print the resolved options, every default included, as an option file."""
        content = self.model_dump(mode='json', by_alias=True, exclude_none=True)
        if 'train' in content:
            terms = content['train'].pop('*_opt')
            content['train'] |= {f'{name}_opt': section for name, section in terms.items()}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """YAML that reads ``1e-4`` as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise OptionError(
                    f'line {line}: the name of an option cannot be a list or mapping.'
                )
            if key_node.value in seen:
                raise OptionError(f"line {line}: '{key_node.value}' is given twice; keep one.")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$'),
    list('-+.0123456789'),
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read an option file.

    Raises:
        OptionError: If the file is missing, empty, or not a YAML mapping.
    """
    path = Path(path)
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob('*.yml')] if path.parent.is_dir() else []
        raise OptionError(f'{path}: there is no such option file.{nearest(path.name, siblings)}')
    try:
        content = yaml.load(path.read_text(encoding='utf-8'), Loader=_Loader)
    except OptionError as error:
        raise OptionError(f'{path}: {error}') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'{path}: not valid YAML: {error}') from None
    if not isinstance(content, dict):
        raise OptionError(f'{path}: holds no options; see options/README.md.')
    return content


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Apply ``a:b=value`` overrides (BasicSR's ``--force_yml``) to options as read.

    Raises:
        OptionError: If an override has no ``=``, or leads through something that is no section.
    """
    for override in overrides:
        keys, separator, text = override.partition('=')
        *sections, last = (key.strip() for key in keys.split(':'))
        if not separator or not last:
            raise OptionError(f"--force_yml '{override}': write it as section:option=value.")
        place = content
        for key in sections:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise OptionError(f"--force_yml '{override}': '{':'.join(sections)}' is no section.")
        try:
            place[last] = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise OptionError(f"--force_yml '{override}': {error}") from None


def parse(content: Mapping[str, Any], problems: Problems) -> Options | None:
    """Turn options as read into `Options`, noting what does not fit.

    Returns:
        The options, without what does not fit, so that the rest can still be checked; None if not
        even that is possible.
    """
    content = copy.deepcopy(dict(content))
    if isinstance(content.get('train'), Mapping):
        content['train'] = gather_terms(content['train'])
    try:
        return Options.model_validate(content)
    except ValidationError as error:
        problems.add_validation('', error, Options)
        for detail in error.errors():
            remove(content, detail['loc'])
    try:
        return Options.model_validate(content)
    except ValidationError:
        return None


def remove(content: Any, location: Sequence[int | str]) -> None:
    """Take the value at a location out of nested mappings, if it is there."""
    *sections, last = location
    for key in sections:
        inner = content.get(key)
        if not isinstance(inner, dict):
            last = key
            break
        content = inner
    content.pop(last, None)


def gather_terms(train: Mapping[str, Any]) -> dict[str, Any]:
    """Move the ``<name>_opt`` sections of ``train`` into one, ``*_opt``."""
    terms = {
        key.removesuffix('_opt'): value
        for key, value in train.items()
        if str(key).endswith('_opt') and value is not None
    }
    rest = {key: value for key, value in train.items() if not str(key).endswith('_opt')}
    return rest | {'*_opt': terms}
