"""The model, one training step."""

from iqasr.models.restoration_model import RestorationModel
