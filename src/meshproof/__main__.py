"""``python -m meshproof`` is ``meshproof``."""

from meshproof.cli import main

main()
