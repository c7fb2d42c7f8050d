"""Write the parts of the reference that are generated: the table of settings."""

from pathlib import Path

from meshhook.config import reference

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"
MARK = "| setting |"


def main() -> None:
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(head + reference())


if __name__ == "__main__":
    main()
