"""The versions of compilers, as they print them."""

from __future__ import annotations

import sys

from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))


CLANG = "Debian clang version 14.0.6"
OLD_CLANG = "Ubuntu clang version 11.1.0"
GCC = "g++ (Debian 12.2.0-14) 12.2.0"
