"""Results that are kept: one file a run, found again by everything that decides what is in it."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wintun_model
import wintunsim
from wintunsim.errors import UsageError
from wintunsim.experiments.result import FlowResult, InboundResult, Result, Series, Steps
from wintunsim.kernel.host import is_host_file
from wintunsim.trace.whole_file import WholeFile

if TYPE_CHECKING:
    from wintunsim.experiments.experiment import Experiment
    from wintunsim.experiments.worker import Outcome, Wanted

FORM = 2
"""The form of a file of the cache."""
_DATE = (1980, 1, 1, 0, 0, 0)
_RUN = "run.json"
_CLASSES: dict[str, type] = {kept.__name__: kept for kept in (FlowResult, InboundResult, Result, Series, Steps)}


@cache
def source_digest() -> str:
    """SHA-256 of the sources and profiles of model and simulator, as they were when they were imported."""
    total = hashlib.sha256()
    for package in (wintun_model, wintunsim):
        folder = Path(package.__path__[0])
        for path in sorted(path for ending in ("py", "toml") for path in folder.rglob(f"*.{ending}")):
            data = path.read_bytes()
            total.update(f"{package.__name__}/{path.relative_to(folder).as_posix()} {len(data)}\n".encode())
            total.update(data)
    return total.hexdigest()


class ResultCache:
    """A folder of results. UsageError when it cannot be made, or not be written to."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()
        self._digests: dict[Path, str] = {}
        self._can_be_written = True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"the cache {str(folder)!r} cannot be made ({reason}): name another folder") from None

    def key_of(self, experiment: Experiment) -> str:
        """SHA-256 of all that decides a result: the experiment, the captures that it reads, the simulator."""
        data = {
            "form": FORM,
            "version": _version(),
            "sources": source_digest(),
            "experiment": experiment.as_dict(),
            "host": self._digest_of(Path(experiment.host)) if is_host_file(experiment.host) else "",
            "captures": [
                self._digest_of(path)
                for text in (*experiment.workload, *experiment.inbound)
                for path in _files_in(text)
            ],
        }
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load(self, key: str, wanted: Wanted) -> Outcome | None:
        """A kept result; None when there is none, or none that is whole, or none with all that is wanted."""
        from wintunsim.experiments.worker import Outcome

        try:
            with zipfile.ZipFile(self._path(key)) as file:  # which checks the checksums of what is read
                run = json.loads(file.read(_RUN))
                if run["key"] != key or (wanted.series and run["result"] is None):
                    return None
                flows = run["flows"] if wanted.flows else None
                if wanted.flows and flows is None:
                    return None
                result = unpacked(run["result"], lambda name: _array(file.read(name))) if wanted.series else None
                return Outcome(row=dict(run["row"]), result=result, flows=flows)
        except Exception:
            # Broken files break in many ways; whatever it is, the run is done again.
            return None

    def store(self, key: str, experiment: Experiment, outcome: Outcome) -> None:
        """Keep a result. A cache that cannot be written any more costs a warning, not the sweep."""
        if not self._can_be_written:
            return
        arrays: dict[str, Any] = {}
        run = {
            "form": FORM,
            "key": key,
            "experiment": experiment.as_dict(),
            "row": outcome.row,
            "flows": outcome.flows,
            "result": None if outcome.result is None else packed(outcome.result, "result", arrays),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(zipfile.ZipInfo(_RUN, _DATE), json.dumps(run, indent=1), zipfile.ZIP_DEFLATED)
            for name, values in arrays.items():
                array = io.BytesIO()
                np.save(array, values, allow_pickle=False)
                file.writestr(zipfile.ZipInfo(name, _DATE), array.getvalue(), zipfile.ZIP_DEFLATED)
        try:
            whole = WholeFile(self._path(key), "the kept result", binary=True)
            whole.write(buffer.getvalue())
            whole.close()
        except UsageError as error:
            from wintunsim.experiments.worker import Wanted

            # Another sweep over the same cache may have been quicker.
            if self.load(key, Wanted(series=outcome.result is not None, flows=outcome.flows is not None)) is None:
                self._can_be_written = False
                warnings.warn(f"{error}; results of this sweep are not kept from here on", RuntimeWarning, stacklevel=3)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.zip"

    def _digest_of(self, path: Path) -> str:
        path = path.resolve()
        if path not in self._digests:
            with path.open("rb") as file:
                self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


def packed(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """A result as data for JSON. Its arrays are put aside under the names that stand for them."""
    if isinstance(value, tuple):
        return [packed(part, f"{name}.{number}", arrays) for number, part in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[f"{name}.npy"] = value
        return {"array": f"{name}.npy"}
    if is_dataclass(value):
        parts = {item.name: packed(getattr(value, item.name), f"{name}.{item.name}", arrays) for item in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    return value


def unpacked(data: Any, array_of: Callable[[str], Any]) -> Any:
    """What `packed` was given."""
    if isinstance(data, list):
        return tuple(unpacked(part, array_of) for part in data)
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return array_of(data["array"])
    if "class" in data:
        parts = {name: unpacked(part, array_of) for name, part in data["fields"].items()}
        return _CLASSES[data["class"]](**parts)
    return data


def _array(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _files_in(text: str) -> list[Path]:
    """The files that a workload may read: names have commas at times, so all that the text could mean."""
    found = []
    for rest in text.split("capture:")[1:]:
        parts = rest.split(",")
        for count in range(1, len(parts) + 1):
            path = Path(",".join(parts[:count]))
            try:
                if path.is_file():
                    found.append(path)
            except (OSError, ValueError):  # too long, or with a NUL
                continue
    return found


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # which imports much that no worker needs

    try:
        return version("wintunsim")
    except PackageNotFoundError:
        return ""


# At once: later there may be other sources in the files than those that this process runs.
source_digest()
