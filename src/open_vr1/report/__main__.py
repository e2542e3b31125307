"""`python -m open_vr1.report --run outputs/demo`"""

import sys

from . import main

sys.exit(main())
