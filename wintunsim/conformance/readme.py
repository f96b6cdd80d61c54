"""The README of a directory of vectors: what is in it, how it is written, how to write a runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wintunsim.conformance.records import FORMAT

README = "README.md"

_TEXT = """\
# Test vectors of the Wintun driver

Written by `wintunsim vectors`, format {format}. Do not edit: `wintunsim vectors --out DIR` writes it anew, and
`wintunsim vectors --check DIR` tells whether it still is what the reference model says.

These files say, case by case, what the Wintun driver, its client library's session layer and its installer do, so
that an implementation or a client in any language can be tested against them without Python. Every expected value was
computed by running the reference model `wintun_model`, in every revision of the driver.

| file | vectors | what they are about |
| --- | ---: | --- |
{table}

`schemas/` holds a JSON Schema (draft 2020-12) for each file, which describes every field.

## A file

`format` (another number: other rules), `group`, `title`, `schema`, `generator`, `revisions` (all that the file tells
apart, oldest first), `count`, `notes` (what each flag means) and `vectors`. A vector has

- `id`: unique in all files and stable; it begins with the section of the specification;
- `kind`: which fields `input` and `expected` have;
- `section` and `comment`: what it follows, and what it is for;
- `flags`: `bug:B6` (the expected outcome *is* that known bug), `revision:0.14` (the revisions differ here), `limit`,
  `fault` (something fails that only a test can bring about), `model-choice` (the specification is silent)… see
  `notes`;
- `revisions`: those in which the input has this outcome. The same input may stand in several vectors, one for each
  outcome; take those that name the revision that you implement. Files without revisions hold for all;
- `input` and `expected`.

The vectors of one kind are independent of each other. Sequences (`steps`, `calls`) start afresh in each vector.

## Conventions

- Numbers are integers, unsigned unless the schema says otherwise, up to 2^64 - 1: read them as such (JavaScript:
  `BigInt`). All memory is little-endian. Offsets count bytes from the start of a ring's data area, which is 12 bytes
  into the ring.
- **Bytes** are hexadecimal text, or an object: `size` bytes of one byte `fill`, or of the `pattern` with that seed,
  where byte i is (31·seed + 7·i + floor(i/128)) mod 128; then `start`, in hexadecimal, replaces the beginning.
- **Ring memory** before: 12 + `capacity` + 0x10000 bytes. The words `head`, `tail`, `alertable` come first; all that
  follows is `fill`; then each of `writes` is written at its offset, preceded by its `size` as four bytes where it has
  one.
- **Ring memory** after: `words`, and `changes`, the runs of data bytes that differ from before, each as long as
  possible: `hex`, or `size` and `sha256` when it has more than 64 bytes. `sha256` beside them is that of the whole
  memory, words included.
- The outcome is taken when everything has come to rest: every thread waits or has ended.
- Names of statuses and errors are for people; compare the numbers. Statuses are unsigned 32-bit numbers.
- `fault` in place of an outcome: the driver would do what corrupts the machine. Compare only that this is noticed.
- `faults` in an input: the n-th attempt of that kind fails: `memory descriptor`, `map` (of ring pages), `thread`,
  `NBL`, `partial memory descriptor`, `NBL pool`, `adapter context`. Skip such vectors where that cannot be arranged.

Not in these files: anything that needs two threads at once (the bugs B1 to B3, B8 to B10 and B12 to B14), times, and
what the system checks before the driver is asked (access rights of the handle that carries a request).

## A runner

This one, in Python without wintunsim, tests ring arithmetic; in another language it is as long:

```python
import json, sys

M = 0xFFFFFFFF


def align(n):
    return (n + 3) & ~3 & M


def wrap(v, capacity):
    return v & (capacity - 1) & M


IMPLEMENTED = {{
    "align": lambda i: {{"value": align(i["size"])}},
    "wrap": lambda i: {{"value": wrap(i["offset"], i["capacity"])}},
    "content": lambda i: {{"value": wrap(i["tail"] - i["head"], i["capacity"])}},
    "space": lambda i: {{"value": wrap(i["head"] - i["tail"] - 4, i["capacity"])}},
}}


def run(directory, group, revision):
    with open(f"{{directory}}/{{group}}.json", encoding="utf-8") as file:
        document = json.load(file)
    assert document["format"] == {format}, "other rules"
    passed, failed, skipped = 0, [], 0
    for vector in document["vectors"]:
        if vector["kind"] not in IMPLEMENTED or revision not in vector.get("revisions", [revision]):
            skipped += 1
        elif (found := IMPLEMENTED[vector["kind"]](vector["input"])) == vector["expected"]:
            passed += 1
        else:
            failed.append(f"{{vector['id']}} ({{vector['comment']}}): {{found}} is not {{vector['expected']}}")
    print(passed, "passed,", len(failed), "failed,", skipped, "skipped", *failed, sep="\\n")
    return not failed


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1], "ring", "0.14"))
```

Test suites in Python can use `wintunsim.conformance.load(directory)`, which gives typed records.
"""


def readme_text(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """The README for some files: name and fields of each."""
    rows = [f"| [`{name}`]({name}) | {fields['count']} | {fields['title']} |" for name, fields in groups.items()]
    return _TEXT.format(format=FORMAT, table="\n".join(rows))
