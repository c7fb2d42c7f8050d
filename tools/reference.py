"""Write the parts of the reference that are generated: the tables of settings and metrics."""

from pathlib import Path

from meshhook import config
from meshhook.metrics import families
from meshproof.live import families as suite

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    write("reference/settings.md", "| setting |", config.reference())
    write("reference/metrics.md", "## The door", families.reference())
    write("concurrency/metrics.md", "| metric |", suite.reference())


def write(page: str, mark: str, text: str) -> None:
    """Put a text in the place of what stands from the mark on."""
    head = (DOCS / page).read_text().partition(mark)[0]
    (DOCS / page).write_text(head + text)


if __name__ == "__main__":
    main()
