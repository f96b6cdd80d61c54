"""Execute the notebooks, and write each one with its outputs beside its text: `01_first_packets.py` gives `.ipynb`.

    python notebooks/execute.py [NAME…]

The text is what is edited; names are beginnings, such as `02`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TIMEOUT_S = 120
"""How long a cell may take."""


def sources() -> list[Path]:
    """The texts of all notebooks."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def read(path: Path) -> Any:
    """A notebook, from its text: without outputs, with ids of its cells that do not change."""
    import jupytext

    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    return notebook


def execute(path: Path) -> Any:
    """A notebook with its outputs. An exception in a cell comes out of here."""
    from nbclient import NotebookClient

    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    # The version of this Python is no part of what came out.
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Execute those whose names are given, or all."""
    import nbformat

    for path in sources():
        if sys.argv[1:] and not path.name.startswith(tuple(sys.argv[1:])):
            continue
        nbformat.write(execute(path), path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
