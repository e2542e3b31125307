"""What the user can fix is a `UserError`: entry points print its message alone, without a traceback, and exit with 2."""


class UserError(Exception):
    """Names the file, the key, the value and what to write instead."""
