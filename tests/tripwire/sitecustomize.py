"""Python imports this at start-up when its folder is on PYTHONPATH."""

import tripwire

tripwire.arm()
