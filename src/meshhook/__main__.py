"""``python -m meshhook`` is ``meshhook``."""

from meshhook.cli import main

main()
