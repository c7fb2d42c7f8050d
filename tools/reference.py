"""Write the parts of the reference that are generated: the tables of settings and metrics."""

from pathlib import Path

from meshhook import config
from meshhook.metrics import families

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def main() -> None:
    write("settings.md", "| setting |", config.reference())
    write("metrics.md", "## The door", families.reference())


def write(page: str, mark: str, text: str) -> None:
    """Put a text in the place of what stands from the mark on."""
    head = (REFERENCE / page).read_text().partition(mark)[0]
    (REFERENCE / page).write_text(head + text)


if __name__ == "__main__":
    main()
