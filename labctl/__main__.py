"""`labctl` and `python -m labctl`."""

import gc
import os
import sys
from contextlib import suppress

# Imports make many objects and next to no garbage: collecting as often as usual costs a tenth of the start-up.
gc.set_threshold(100_000, 20, 20)

from labctl import cli  # noqa: E402


def main() -> None:
    """Run the command line, and end at once when it is done: taking objects apart one by one takes its time."""
    try:
        cli.main()
    except SystemExit as error:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError):
                stream.flush()
        os._exit(error.code if isinstance(error.code, int) else 1)


if __name__ == "__main__":
    main()
