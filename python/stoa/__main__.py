"""python -m stoa"""

import sys

from ._cli import main

sys.exit(main())
