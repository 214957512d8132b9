"""Option files of other tools, translated into ours before they are checked."""

from iqasr.checking.dialects.account import Account
from iqasr.checking.dialects.adoption import adopt
from iqasr.checking.dialects.families import FAMILIES, OURS
