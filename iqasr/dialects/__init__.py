"""Option files of other tools, translated into ours before they are checked."""

from iqasr.dialects.account import Account
from iqasr.dialects.adoption import adopt
from iqasr.dialects.families import FAMILIES, OURS
