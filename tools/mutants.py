"""Write the list of planted bugs into the page about them."""

from pathlib import Path

from meshproof.mutants.planted import MUTANTS
from meshproof.mutants.table import page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "concurrency" / "mutants.md"
MARK = "| mutant |"


def main() -> None:
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(head + page(MUTANTS.values()), encoding="utf-8")


if __name__ == "__main__":
    main()
