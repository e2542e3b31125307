"""`make hub`: a Hub on this machine, for trying to publish without an account."""

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path

from .server import ORGANISATION, ROLES, local_hub


def main() -> None:
    parser = argparse.ArgumentParser(prog="make hub", description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--folder", type=Path, default=Path("outputs/hub"), help="where repositories are kept")
    options = parser.parse_args()
    try:
        with local_hub(options.folder, port=options.port) as hub:
            print(f"export HF_ENDPOINT={hub.url}\nexport HF_TOKEN={hub.tokens['write']}", flush=True)
            print(
                f"# Run these two lines where you publish, to {ORGANISATION}/... or {ROLES['write'][0]}/...; "
                f"it is kept in {options.folder}. Ctrl-C ends this Hub.",
                file=sys.stderr,
            )
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
    except OSError as error:
        sys.exit(
            f"error: cannot serve on port {options.port}: {error.strerror}; choose another: make hub ARGS='--port 8766'"
        )


if __name__ == "__main__":
    main()
