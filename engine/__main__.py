"""`python -m engine` is the command `helios`."""

import sys

from engine.cli import main

sys.exit(main())
