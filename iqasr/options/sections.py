"""The sections of an option file.

An option file is YAML in BasicSR's spelling (options/README.md). Sections that build something
(``type:``) are checked against the constructor of what they build; the others are the pydantic
models below.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from iqasr.options.lora import LoRAOptions
from iqasr.options.schema import Problems

Named = dict[str, dict[str, Any]]
"""Sections under names of the user's choice."""


class Section(BaseModel):
    """A section of fixed options; unknown names are errors."""

    model_config = ConfigDict(extra='forbid', allow_inf_nan=False)

    @model_validator(mode='before')
    @classmethod
    def _leave_out_empty(cls, content: Any) -> Any:
        """Take options without a value (``~``) as not given, where that is no value of theirs."""
        if not isinstance(content, Mapping):
            return content
        given = dict(content)
        for name, field in cls.model_fields.items():
            value = given.get(name)
            if value is None and field.default is not None:
                given.pop(name, None)
            elif field.annotation == Named and isinstance(value, Mapping):
                given[name] = {k: section for k, section in value.items() if section is not None}
        return given


OURS = 'RestorationModel'
"""The model of this package; other registered models are run as BasicSR runs them."""

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


class TrainOptions(Section):
    """The training sum (``<name>_opt``, one term each) and how it is minimised."""

    total_iter: PositiveInt
    warmup_iter: int = -1
    ema_decay: float = Field(0, ge=0, lt=1)
    accumulate: PositiveInt = 1
    clip_grad_norm: float | None = Field(None, gt=0)
    amp: Literal['none', 'bf16', 'fp16'] = 'none'
    speed: Literal['plain', 'channels_last', 'auto', 'compile', 'graph'] = 'plain'
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
    tile_px: PositiveInt | None = None
    tile_overlap_px: int = Field(32, ge=0)
    self_ensemble: bool = False
    metrics: Named = Field(default_factory=dict)
    panel: list[str] = Field(default_factory=list)
    panel_crop_border: int = Field(0, ge=0)
    guard: GuardOptions | None = None


class WandbOptions(Section):
    """Mirror TensorBoard to Weights & Biases, if a project is named."""

    project: str | None = None
    resume_id: str | None = None


class LoggerOptions(Section):
    """The log, the checkpoints and the boards of a training."""

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
    model_type: str = OURS
    custom_imports: list[str] = Field(default_factory=list)
    scale: PositiveInt
    num_gpu: Annotated[int, Field(ge=0)] | Literal['auto'] = 'auto'
    manual_seed: int | None = None
    datasets: Named
    sharpen: list[str] = Field(default_factory=list)
    network_g: dict[str, Any] = Field(default_factory=lambda: dict(RECOGNISED))
    lora: LoRAOptions | None = None
    network_d: dict[str, Any] | None = None
    path: PathOptions = Field(default_factory=PathOptions)
    train: TrainOptions | None = None
    val: ValOptions = Field(default_factory=ValOptions)
    logger: LoggerOptions = Field(default_factory=LoggerOptions)
    dist_params: dict[str, Any] | None = None
    find_unused_parameters: bool = False
    _notes: list[str] = PrivateAttr(default_factory=list)
    _dumped: ClassVar[dict[str, Any]] = {'exclude_none': True}

    def datasets_of(self, phase: str) -> dict[str, dict[str, Any]]:
        """Select the data sets whose key starts with ``train``, ``val`` or ``test``."""
        return {key: value for key, value in self.datasets.items() if key.split('_')[0] == phase}

    @property
    def train_set(self) -> dict[str, Any]:
        """The section of the training set; empty in a test."""
        return self.datasets.get('train', {})

    @property
    def is_restored(self) -> bool:
        """Whether the images of all test sets are restored already, so that no network runs."""
        return all(
            section.get('dataroot_restored') for section in self.datasets_of('test').values()
        )

    def add_notes(self, notes: Sequence[str]) -> None:
        """Keep how the option file was translated, to be printed with the options."""
        self._notes = list(notes)

    def as_dict(self) -> dict[str, Any]:
        """Return the resolved options, every default included, in the form of an option file."""
        content = self.model_dump(mode='json', by_alias=True, **self._dumped)
        if content.get('train'):
            terms = content['train'].pop('*_opt', {})
            content['train'] |= {f'{name}_opt': section for name, section in terms.items()}
        return content

    def as_yaml(self) -> str:
        """Print the options as an option file, below comments on how they were translated."""
        comments = ''.join(f'# {line}\n' for line in self._notes)
        return comments + yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)


class OpenTrainOptions(TrainOptions, extra='allow'):
    """Section ``train`` of a model that is registered elsewhere."""

    optim_g: dict[str, Any] | None = None


class OpenValOptions(ValOptions, extra='allow'):
    """Section ``val`` of a model that is registered elsewhere."""


class OpenPathOptions(PathOptions, extra='allow'):
    """Section ``path`` of a model that is registered elsewhere."""


class OpenOptions(Options, extra='allow'):
    """An option file for a model that is registered elsewhere; it gets what the file says."""

    scale: PositiveInt | None = None
    path: OpenPathOptions = Field(default_factory=OpenPathOptions)
    train: OpenTrainOptions | None = None
    val: OpenValOptions = Field(default_factory=OpenValOptions)
    _dumped: ClassVar[dict[str, Any]] = {'exclude_unset': True}


def parse(content: Mapping[str, Any], problems: Problems, schema: type[Options]) -> Options | None:
    """Turn options as read into `Options`, noting what does not fit.

    Returns:
        The options, without what does not fit, so that the rest can still be checked; None if not
        even that is possible.
    """
    content = copy.deepcopy(dict(content))
    if isinstance(content.get('train'), Mapping):
        content['train'] = gather_terms(content['train'])
    try:
        options = schema.model_validate(content)
        problems.add_booleans('', content, options.model_dump(by_alias=True))
        return options
    except ValidationError as error:
        problems.add_validation('', error, schema)
        for detail in error.errors():
            remove(content, detail['loc'])
    try:
        return schema.model_validate(content)
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
