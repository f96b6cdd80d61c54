"""Let atheris look for inputs that make the driver do what it must not do: ``python tests/fuzz/fuzz.py --runs 200000``.

Every target runs in a process of its own, one after the other, from the inputs of its corpus on. An input that fails is
left in the current directory as ``crash-…`` and named; ``python tests/fuzz/fuzz.py TARGET --input FILE`` runs it again.
"""

# ruff: noqa: T201 (a command line)

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

SHARES = {
    "arithmetic": 10,
    "control_codes": 12,
    "oid_buffers": 15,
    "receive_ring": 20,
    "registration": 13,
    "send_ring": 15,
    "session": 15,
}
"""How many of a hundred inputs each target gets."""
LONGEST_INPUT_BYTES = 256
SECONDS_AN_INPUT = 5
HERE_SWITCH = "--one-target-here"
"""What a process that fuzzes one target is started with: then come the target, its program, libFuzzer's options."""


def main() -> int:
    """Fuzz the targets named, or all; 1 when an input failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(SHARES)}; all by default")
    parser.add_argument("--runs", type=int, default=200_000, help="how many inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's mutations")
    parser.add_argument("--input", type=Path, help="run this one input and no other")
    parser.add_argument("--merge", action="store_true", help="keep in the corpus what adds to its coverage, no more")
    parser.add_argument("--found", type=Path, help="folder in which found inputs are kept; a temporary one by default")
    known = parser.parse_args()
    unknown = [name for name in known.targets if name not in SHARES]
    if unknown:
        parser.error(f"there is no target {unknown[0]!r}: choose from {', '.join(SHARES)}")
    names = known.targets or list(SHARES)
    if known.input is not None:
        return replay(names, known.input)
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            found = (known.found or Path(scratch)) / name
            found.mkdir(parents=True, exist_ok=True)
            code = merge(name, found) if known.merge else fuzz(name, names, known.runs, known.seed, found)
            if code:
                return 1
    return 0


def fuzz(name: str, names: list[str], runs: int, seed: int, found: Path) -> int:
    """Give one target its share of the inputs; the exit code."""
    share = max(1, runs * SHARES[name] // sum(SHARES[other] for other in names))
    began = time.monotonic()
    code = start(name, [f"-runs={share}", f"-seed={seed}", str(found), str(HERE / "corpus" / name)])
    seconds = time.monotonic() - began
    if code:
        # How many inputs came before is told by libFuzzer alone.
        print(f"{name}: an input failed after {seconds:.0f} s (exit code {code}), of {share} to be tried", flush=True)
    else:
        print(f"{name}: {share} inputs in {seconds:.0f} s, {share / seconds:.0f} a second: nothing found", flush=True)
    return code


def merge(name: str, found: Path) -> int:
    """Make the corpus anew from what there is and what was found: the smallest inputs with the same coverage."""
    corpus = HERE / "corpus" / name
    with tempfile.TemporaryDirectory() as scratch:
        code = start(name, ["-merge=1", scratch, str(found), str(corpus)])
        if code:
            return code
        corpus.mkdir(parents=True, exist_ok=True)
        for old in corpus.iterdir():
            # What has failed once stays, whatever it covers.
            if not old.name.startswith("failed-"):
                old.unlink()
        for new in Path(scratch).iterdir():
            # The whole hash is no use to anybody who reads a name.
            (corpus / new.name[:12]).write_bytes(new.read_bytes())
    kept = list(corpus.iterdir())
    print(f"{name}: {len(kept)} inputs, {sum(path.stat().st_size for path in kept)} bytes", flush=True)
    return 0


def start(name: str, libfuzzer: list[str]) -> int:
    """Run atheris on one target in a process of its own."""
    (HERE / "corpus" / name).mkdir(parents=True, exist_ok=True)
    options = [f"-max_len={LONGEST_INPUT_BYTES}", f"-timeout={SECONDS_AN_INPUT}", "-len_control=0"]
    options += ["-rss_limit_mb=4096", "-verbosity=0"]
    with tempfile.TemporaryDirectory() as scratch:
        # To merge, libFuzzer starts its program again by name, and knows no interpreter.
        program = Path(scratch) / "fuzz"
        command = shlex.join([sys.executable, __file__, HERE_SWITCH, name, str(program)])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(0o700)
        return subprocess.run([program, *options, *libfuzzer], check=False).returncode


def fuzz_here(name: str, program: str, libfuzzer: list[str]) -> int:
    """Fuzz one target in this process, which libFuzzer ends."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: `make fuzz` installs it, on Linux", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["wintun_model", "wintunsim.kernel.devices"]):
        from fuzz_targets import TARGETS
    atheris.Setup([program, *libfuzzer], TARGETS[name])
    atheris.Fuzz()
    return 0


def replay(names: list[str], path: Path) -> int:
    """Run one input without atheris; what it raises is shown."""
    from fuzz_targets import TARGETS

    for name in names:
        TARGETS[name](path.read_bytes())
        print(f"{name}: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(fuzz_here(sys.argv[2], sys.argv[3], sys.argv[4:]) if sys.argv[1:2] == [HERE_SWITCH] else main())
