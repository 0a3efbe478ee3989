"""`labctl` and `python -m labctl`."""

import gc

# Imports make many objects and no garbage: collecting meanwhile costs a tenth of the start-up.
gc.disable()

from labctl import cli  # noqa: E402


def main() -> None:
    """Run the command line."""
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
