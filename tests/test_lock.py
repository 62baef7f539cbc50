"""Locks: who holds a folder is named, and a holder that is dead holds nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from qdistill import lock as lock_module
from qdistill.errors import RunError
from qdistill.folders import LOCK, holding, new_folder
from qdistill.lock import STALE_SECONDS, hold
from qdistill.processes import machine, started

HOLD = """
import sys, time
from pathlib import Path
from qdistill.errors import RunError
from qdistill.folders import holding
try:
    with holding(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except RunError as error:
    print(error, flush=True)
"""


def started_holder(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_folder_is_made_held_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    with holding(folder) as (lock,):
        said = json.loads((folder / LOCK).read_text())
        assert (said["host"], said["process"], said["machine"]) == (socket.gethostname(), os.getpid(), machine())
        assert said["process_started"] == started(os.getpid())
        (folder / "result").touch()
        lock.check()
    assert os.listdir(folder) == ["result"]
    with holding(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists(), "what was made and stayed empty is removed"


def test_of_processes_that_start_together_one_holds_and_the_others_name_it(tmp_path: Path) -> None:
    processes = [started_holder(tmp_path, 6) for _ in range(3)]
    told = [process.communicate()[0].strip() for process in processes]
    (holder,) = [process for process, line in zip(processes, told, strict=True) if line == "held"]
    refused = [line for line in told if line != "held"]
    assert len(refused) == 2
    for line in refused:
        assert f"is being written to by process {holder.pid} on {socket.gethostname()} since 20" in line
        assert "Wait for it, or choose another." in line
    assert os.listdir(tmp_path) == []


def test_a_holder_that_was_killed_holds_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with started_holder(tmp_path, 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"by process {process.pid} on"), holding(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    (tmp_path / f".qdistill-{machine()}-{process.pid}-7.tmp").write_text("half of a file")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f".qdistill-{machine()}-{process.pid}-8.tmp").write_text("half of a file")
    of_others = {f".qdistill-{machine()}-{os.getppid()}-1.tmp", f".qdistill-00000000-{process.pid}-1.tmp", ".mine.tmp"}
    for name in of_others:
        (tmp_path / name).touch()
    assert (tmp_path / LOCK).exists()
    with holding(tmp_path):
        assert {path.name for path in tmp_path.rglob("*")} == {LOCK, "checkpoints", *of_others}


def test_the_same_process_does_not_hold_twice(tmp_path: Path) -> None:
    with holding(tmp_path), pytest.raises(RunError, match=f"by process {os.getpid()} on"), holding(tmp_path):
        pass


def signed(path: Path, **other: Any) -> None:
    """A lock file that somebody left."""
    own = {"host": socket.gethostname(), "machine": machine(), "process": os.getppid(), "since": "then"}
    path.write_text(json.dumps(own | {"process_started": started(os.getppid()), "command": "x", "token": "0"} | other))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"host": 3}', '{"machine": [], "process": {}}'])
def test_a_lock_file_that_says_nothing_holds_nothing_for_long(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    if content.startswith('{"'):  # somebody's, if nobody can say whose
        with pytest.raises(RunError, match="being written to"), holding(tmp_path):
            pass
        os.utime(tmp_path / LOCK, (0, 0))
    with holding(tmp_path) as (lock,):
        lock.check()


def test_another_process_by_the_id_of_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    signed(tmp_path / LOCK)  # of a process that is there, but has no lock of the kernel's
    with holding(tmp_path) as (lock,):
        lock.check()


def test_a_lock_of_another_machine_holds_until_it_is_stale(tmp_path: Path) -> None:
    signed(tmp_path / LOCK, host="far-away", machine="0badcafe")
    now = time.time()
    os.utime(tmp_path / LOCK, (now, now - STALE_SECONDS + 60))
    said = r"on far-away since then .*last sign of life is 5\d\d s old; after 10 minutes"
    with pytest.raises(RunError, match=said), holding(tmp_path):
        pass
    os.utime(tmp_path / LOCK, (now, now - STALE_SECONDS - 60))
    with holding(tmp_path) as (lock,):
        lock.check()
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()


def test_a_stale_lock_is_taken_although_its_machine_s_kernel_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path) as (before,):
        content = json.loads((tmp_path / LOCK).read_text()) | {"machine": "0badcafe", "host": "far-away"}
        (tmp_path / LOCK).write_text(json.dumps(content))
        with pytest.raises(RunError, match="far-away"), holding(tmp_path):
            pass
        os.utime(tmp_path / LOCK, (0, 0))
        with holding(tmp_path) as (lock,):
            lock.check()
            with pytest.raises(RunError, match=r"was taken over by process .*: nothing more is written"):
                before.check()
        with pytest.raises(RunError, match=r"lock\.json was removed"):
            before.check()


def test_a_holder_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.01)
    with holding(tmp_path):
        os.utime(tmp_path / LOCK, (0, 0))
        give_up = time.monotonic() + 30
        while (tmp_path / LOCK).stat().st_mtime == 0:
            assert time.monotonic() < give_up
            time.sleep(0.01)


@pytest.fixture
def no_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock_module.fcntl, "flock", missing)
    monkeypatch.setattr(lock_module, "_MOMENT", 0.2)


@pytest.mark.usefixtures("no_kernel_locks")
def test_on_a_disk_without_locks_the_process_and_its_start_decide(tmp_path: Path) -> None:
    signed(tmp_path / LOCK)
    with pytest.raises(RunError, match=f"by process {os.getppid()} on"), holding(tmp_path):
        pass
    signed(tmp_path / LOCK, process_started="1")  # the id is another process's by now
    with holding(tmp_path):
        pass
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    signed(tmp_path / LOCK, process=ended.pid)
    with holding(tmp_path):
        pass


@pytest.mark.usefixtures("no_kernel_locks")
def test_on_a_disk_without_locks_one_of_several_holds(tmp_path: Path) -> None:
    outcomes: list[str] = []
    done = threading.Barrier(4)

    def attempt() -> None:
        try:
            with holding(tmp_path):
                outcomes.append("held")
                done.wait()
        except RunError:
            outcomes.append("refused")
            done.wait()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused", "refused", "refused"]


def test_patience_waits_for_the_end_of_another(tmp_path: Path) -> None:
    with started_holder(tmp_path, 0.3) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with holding(tmp_path, patience=60.0):
            pass


@pytest.mark.parametrize("place", ["file/run", "x" * 300, "missing"])
def test_what_cannot_be_locked_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"Cannot write .*lock\.json"), hold(tmp_path / place / LOCK, tmp_path / place):
        pass
    (tmp_path / LOCK).symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"Cannot write .*lock\.json"), holding(tmp_path):
        pass


def test_a_full_disk_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunError, match=r"Cannot write .*lock\.json: No space left on device"), holding(tmp_path):
            pass
    assert os.listdir(tmp_path) == []


NEW = """
import sys, time
from qdistill.folders import new_folder
with new_folder("digits") as folder:
    (folder / "file").touch()
    print(folder)
"""


def test_processes_that_start_together_have_folders_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "runs" / "digits-2").mkdir(parents=True)
    processes = [
        subprocess.Popen([sys.executable, "-c", NEW], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    made = {process.communicate()[0].strip() for process in processes}
    assert made == {str(Path("runs", f"digits-{number}")) for number in (1, 3, 4)}


def test_a_new_folder_that_stays_empty_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder("digits") as folder:
        assert folder.is_dir()
    assert os.listdir(tmp_path) == []
