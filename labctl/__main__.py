"""`labctl` and `python -m labctl`."""

import gc
import io
import os
import sys
from contextlib import suppress

from labctl.errors import EXIT_INTERRUPTED

# Imports make many objects and next to no garbage: collecting as often as usual costs a tenth of the start-up.
gc.set_threshold(100_000, 20, 20)


def main() -> None:
    """Run the command line, and end at once when it is done: taking objects apart one by one takes its time."""
    _have_streams()
    try:
        from labctl import cli  # noqa: PLC0415 - so that Ctrl-C ends it quietly meanwhile

        cli.main()
    except KeyboardInterrupt:  # as long as it is being loaded: nothing has begun
        os._exit(EXIT_INTERRUPTED)
    except SystemExit as error:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError):
                stream.flush()
        os._exit(error.code if isinstance(error.code, int) else 1)


def _have_streams() -> None:
    """Have the three standard streams, also where whoever started this closed them: what is opened next would take
    their place, and be written to. What a terminal's encoding lacks is shown as an escape."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
