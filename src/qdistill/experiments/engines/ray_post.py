"""Where the files of runs lie between nodes and driver. It imports nothing, so that it is there at once."""

from __future__ import annotations


class Post:
    """The actor that keeps the files of runs on their way between nodes and driver; it runs where the driver does."""

    def __init__(self) -> None:
        self._files: dict[int, dict[str, bytes]] = {}
        self._attempts: dict[int, int] = {}
        self._begun: dict[int, tuple[int, str]] = {}
        self._fresh: dict[int, dict[str, bytes]] = {}

    def give(self, number: int, files: dict[str, bytes]) -> None:
        """The driver's files of a run, before it begins."""
        self._files[number] = files

    def begin(self, number: int, node: str) -> tuple[int, dict[str, bytes]]:
        """A run begins or goes on at a node: its attempt, by which later files are known, and its files so far."""
        attempt = self._attempts[number] = self._attempts.get(number, 0) + 1
        self._begun[number] = (attempt, node)
        return attempt, self._files.get(number, {})

    def store(self, number: int, attempt: int, files: dict[str, bytes]) -> bool:
        """Files that an attempt has changed; False where another has begun since, for this node was taken for dead."""
        if attempt != self._attempts.get(number):
            return False
        self._files.setdefault(number, {}).update(files)
        self._fresh.setdefault(number, {}).update(files)
        return True

    def collect(self) -> tuple[dict[int, tuple[int, str]], dict[int, dict[str, bytes]]]:
        """What is new for the driver: the runs that have begun, as which attempt and where; and files."""
        begun, fresh = self._begun, self._fresh
        self._begun, self._fresh = {}, {}
        return begun, fresh

    def forget(self, number: int) -> None:
        """A run has ended."""
        self._files.pop(number, None)
