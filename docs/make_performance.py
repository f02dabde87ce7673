"""Writes the tables and pictures of performance.md from what `cnp bench --json` wrote, so that they are true.

`python docs/make_performance.py FILE [DIRECTORY]` rewrites DIRECTORY/performance.md between `<!-- generated: NAME -->`
and `<!-- end -->`, and draws the pictures that it shows. Needs matplotlib, and figures of every bench that is named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from cnp.bench import markdown, plot, results
from cnp.errors import CnpError, UserError

BLOCK = re.compile(r"(<!-- generated: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
PICTURE = re.compile(r"picture (\w+): (.*)", re.DOTALL)


def filled(text: str, body: Callable[[str], str]) -> str:
    """The document with each block's body made anew from the block's name."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{body(match[2])}\n\n{match[3]}", text)


def main(source: Path, directory: Path) -> None:
    """Rewrite the pictures, then the document. UserError or Unavailable if figures lack; the document stays then."""
    found = results.read(source)
    if found.quick:
        raise UserError(f"{source} is a quick run: its figures say nothing about speed")
    sections = markdown.sections(found)
    pictures: list[str] = []

    def body(name: str) -> str:
        picture = PICTURE.fullmatch(name)
        if picture:
            pictures.append(picture[1])
            return f"![{picture[2]}]({picture[1]}.svg)"
        if name not in sections:
            raise UserError(f"{source} has no figures of the bench {name!r}")
        return sections[name]

    document = directory / "performance.md"
    text = filled(document.read_text(encoding="utf-8"), body)
    plot.check_available()
    for name in pictures:
        plot.save(found, name, directory, "svg")
    document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else Path(__file__).parent)
    except CnpError as error:
        sys.exit(f"error: {error}")
