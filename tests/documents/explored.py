"""Documents on the explorer show what it prints: each ``sh`` block with the ``text`` block behind it.

`make explore-doc` runs it to write what is printed now into the pages. Seconds and rates are the machine's: they
are not compared.
"""

import re
import shlex
from pathlib import Path

from tests.command_line import CommandLine

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(ROOT / name for name in ("docs/explore.md", "docs/own-routines.md", "docs/swarm.md", "README.md"))
_SHOWN = re.compile(r"```sh\n((?:\.venv/bin/)?wintunsim explore [^\n]*)\n```\n\n```text\n(.*?)```\n", re.DOTALL)


def shown(page):
    """(command, output) of each block that shows both."""
    return _SHOWN.findall(page.read_text(encoding="utf-8"))


def printed(command, wintunsim):
    """What the command prints now."""
    _, *arguments = shlex.split(command)
    done = wintunsim(*arguments, cwd=ROOT, timeout=200)
    return done.stdout + done.stderr


def steady(text):
    """The text without the figures that differ from machine to machine."""
    text = re.sub(r"[\d.]+ s, [\d,]+ executions/s, [\d,]+ operations/s", "SECONDS", text)
    return re.sub(r"[\d.]+( *)$", r"SECONDS\1", text, flags=re.MULTILINE) if text.startswith("scenario ") else text


def main():
    """Write what is printed now into the pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command, old in shown(page):
            new = printed(command, CommandLine.fresh)
            if steady(new) != steady(old):
                text = text.replace(f"{command}\n```\n\n```text\n{old}```", f"{command}\n```\n\n```text\n{new}```")
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
