#!/usr/bin/env python3
"""Django's command line. Works with any Python: it moves itself into the project's virtual environment."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    python = ROOT / ".venv/bin/python"
    try:
        import django  # noqa: F401  # only to see whether this Python has it
    except ImportError:
        if not python.exists() or Path(sys.prefix) == ROOT / ".venv":
            sys.exit("The project is not set up yet: run `make setup` once.")
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  # itself, by another Python
    sys.path.insert(0, str(ROOT / "src"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tds.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
