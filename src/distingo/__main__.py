"""``python -m distingo`` is the ``distingo`` command."""

from distingo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
