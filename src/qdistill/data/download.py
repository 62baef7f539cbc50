"""Fetches the official files of a dataset into the user's cache folder, whole or not at all.

`pooch` compares the checksum and puts a file under its name only when it is right. The transfer itself is
ours: it goes on from a partial file, tries again after passing troubles, and shows its progress.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from qdistill.errors import DownloadError

_CHUNK = 1 << 15  # bytes written at a time: what a broken connection loses at most
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Args:
        name: the file's name, which ends each of its URLs.
        md5: the checksum of the file as published, in hexadecimal.
        mirrors: the URLs of the folders where it lies, tried in this order; each ends with a slash.
    """

    name: str
    md5: str
    mirrors: tuple[str, ...]


def cache_folder() -> Path:
    """The folder for downloaded files, `~/.cache/qdistill` or what the system has in its place."""
    return Path(pooch.os_cache("qdistill"))


def fetch(file: RemoteFile, folder: Path, *, timeout: float = 30.0, retries: int = 2, pause: float = 0.5) -> Path:
    """Return the path of a published file in `folder`, after downloading it if it is not there yet.

    A file that is there is checked, and replaced if its checksum is wrong. What has arrived of an interrupted
    download is kept as `NAME.part`, from which the next attempt goes on; it is dropped once its checksum
    turns out to be wrong. Several processes may fetch the same file: one downloads, the others wait for it.

    Args:
        file: what to fetch, and where from.
        folder: the folder to keep it in, made if it is not there.
        timeout: how long to wait for a connection, and for each next piece of the answer, in seconds.
        retries: how many times in a row a transfer that brings nothing new is tried again, on each mirror.
        pause: how long to wait before trying again, in seconds; doubled each time.

    Raises:
        DownloadError: no mirror gave the official file, or it cannot be written to `folder`.
    """
    target = folder / file.name
    problems: list[str] = []
    by_hand = (
        f"get the file in another way, put it as {folder.name}/{file.name} into a data folder of your own, "
        f"and name that folder in `data_dir` or in the environment variable QDISTILL_DATA_DIR"
    )
    try:
        if _is_whole(target, file.md5):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            if _is_whole(target, file.md5):
                return target
            target.unlink(missing_ok=True)
            for mirror in file.mirrors:
                try:
                    _retrieve(mirror + file.name, target, file.md5, timeout, retries, pause)
                    return target
                except _MirrorError as problem:
                    problems.append(f"{mirror}{file.name}: {problem}")
    except OSError as problem:
        raise DownloadError(
            f"{target}: cannot be downloaded to this place ({problem}). Make the folder writable and check "
            f"the free space, or {by_hand}."
        ) from problem
    raise DownloadError(
        f"{file.name} could not be downloaded. {'; '.join(problems)}. Check the network connection and try "
        f"again (what has arrived is kept), or {by_hand}."
    )


class _MirrorError(Exception):
    """A mirror did not give the file."""


class _PassingError(_MirrorError):
    """A mirror did not give the file now, but may do so in a moment."""


class _Transfer:
    """A downloader for pooch that goes on from a partial file.

    Args:
        part: where to keep what has arrived until it is whole.
        timeout: see `fetch`, as for `retries` and `pause`.
    """

    def __init__(self, part: Path, timeout: float, retries: int, pause: float):
        self.part = part
        self.timeout = timeout
        self.retries = retries
        self.pause = pause
        self.resumed = False

    def __call__(self, url: str, output_file: str, _: object) -> None:
        failures, most = 0, self._size()
        while True:
            try:
                self._attempt(url)
            except _PassingError as problem:
                # Whatever brings the transfer forward may go on for as long as it takes.
                failures = 0 if self._size() > most else failures + 1
                most = max(most, self._size())
                if failures > self.retries:
                    raise _MirrorError(str(problem)) from problem
                time.sleep(self.pause * 2 ** max(failures - 1, 0))
            else:
                os.replace(self.part, output_file)
                return

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        here = self._size()
        # Without compression on the way: the checksum is that of the file as it lies on the server.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
                if here and response.status_code == 416:
                    # There is nothing after what is here: it is whole or wrong, and the checksum will tell.
                    self.resumed = True
                    return
                self._receive(response, here)
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as problem:
            raise _PassingError(f"the connection failed ({problem})") from problem
        except requests.RequestException as problem:
            raise _MirrorError(str(problem)) from problem

    def _receive(self, response: requests.Response, here: int) -> None:
        if response.status_code not in (200, 206):
            failure = _PassingError if response.status_code in _PASSING else _MirrorError
            raise failure(f"the server answered {response.status_code} {response.reason}")
        goes_on = response.status_code == 206
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {here}-"):
            self.part.unlink(missing_ok=True)
            raise _PassingError("the server answered with another range than was asked for")
        # A server that knows no ranges answers 200 with the whole file: then begin again.
        start = here if goes_on else 0
        self.resumed = self.resumed or goes_on
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdigit() else None
        received = 0
        with open(self.part, "ab" if goes_on else "wb") as file, _progress() as progress:
            task = progress.add_task(
                self.part.stem, total=None if expected is None else start + expected, completed=start
            )
            for piece in response.raw.stream(_CHUNK, decode_content=False):
                file.write(piece)
                received += len(piece)
                progress.advance(task, len(piece))
        if expected is not None and received != expected:
            raise _PassingError(f"the answer ended after {received:,} of {expected:,} bytes")


def _retrieve(url: str, target: Path, md5: str, timeout: float, retries: int, pause: float) -> None:
    """Download one URL, and once more from the beginning if a resumed file had the wrong checksum."""
    for _ in range(2):
        transfer = _Transfer(target.with_name(target.name + ".part"), timeout, retries, pause)
        try:
            pooch.retrieve(url, f"md5:{md5}", target.name, target.parent, downloader=transfer)
            return
        except ValueError as problem:
            failure = _MirrorError("what came is not the official file: its MD5 checksum is another")
            failure.__cause__ = problem
            if not transfer.resumed:
                break
    raise failure


def _is_whole(path: Path, md5: str) -> bool:
    return path.is_file() and pooch.file_hash(path, alg="md5") == md5


def _progress() -> Progress:
    """A progress bar on the standard error stream, which shows only if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # Not `is_terminal`, which FORCE_COLOR makes true for a log file as well.
    shown = console.is_interactive and console.file.isatty()
    return Progress(*columns, console=console, transient=True, disable=not shown)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file, so that two processes do not write one partial file.

    Where there are no such locks (Windows, some network folders) the checksum alone guards the result.
    """
    with open(folder / ".lock", "wb") as lock:
        if sys.platform != "win32":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
