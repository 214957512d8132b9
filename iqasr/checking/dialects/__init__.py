"""Option files of other tools, and earlier ones of ours, translated before they are checked."""

from iqasr.checking.dialects.families import FAMILIES
from iqasr.checking.dialects.rules import translate
from iqasr.checking.dialects.translation import Translation
