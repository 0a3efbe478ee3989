"""`labctl` and `python -m labctl`."""

import gc

# Imports make many objects and next to no garbage: collecting as often as usual costs a tenth of the start-up.
gc.set_threshold(100_000, 20, 20)

from labctl.cli import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    main()
