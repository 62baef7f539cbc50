"""Downloads from a server on this machine that misbehaves as asked: nothing wrong is ever taken for whole."""

import gzip
import hashlib
import http.server
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qdistill.data import MNIST, download
from qdistill.data.download import RemoteFile, fetch
from qdistill.errors import DownloadError

CONTENT = bytes(i * i % 251 for i in range(5000))
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves `files`, in the way that `trouble` says; writes down path and range of every request."""

    def __init__(self):
        self.files = {"/data/file.gz": CONTENT}
        self.requests = []
        self.status = []  # answer the next requests with these
        self.at_most = None  # send no more bytes than this, though more were announced
        self.ranges = True  # know the Range header
        self.shifted = 0  # answer with a range that begins so much later
        self.announced = True  # send Content-Length
        self.stalls = False  # stop sending, without closing the connection
        self.closing = threading.Event()

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.requests.append((handler.path, asked))
        content = self.files.get(handler.path)
        status = self.status.pop(0) if self.status else 200 if content is not None else 404
        if status != 200:
            handler.send_error(status)
            return
        start, headers = 0, {}
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + self.shifted
            if start >= len(content):
                handler.send_error(416)
                return
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        if self.announced:
            headers["Content-Length"] = str(len(body))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[: self.at_most])
        handler.wfile.flush()
        if self.stalls:
            self.stalls = False
            self.closing.wait(10)


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.answer(self)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}/data/"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        state.closing.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def file(server):
    return RemoteFile("file.gz", MD5, (server.url,))


def quick(file, folder, **options):
    return fetch(file, folder, **{"timeout": 5.0, "pause": 0.0} | options)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_file_is_downloaded_once(server, file, tmp_path):
    folder = tmp_path / "new" / "folder"

    path = quick(file, folder)

    assert path == folder / "file.gz"
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["file.gz"]
    assert quick(file, folder) == path
    assert server.requests == [("/data/file.gz", None)]


def test_a_wrong_checksum_leaves_nothing_behind(server, file, tmp_path):
    server.files["/data/file.gz"] = CONTENT[:-1] + b"?"

    with pytest.raises(DownloadError, match="MD5") as caught:
        quick(file, tmp_path)

    assert f"{server.url}file.gz" in str(caught.value)
    assert f"{tmp_path.name}/file.gz into a data folder" in str(caught.value)
    assert names(tmp_path) == []
    assert len(server.requests) == 1


def test_a_wrong_file_in_the_cache_is_replaced(server, file, tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT[:100])

    assert quick(file, tmp_path).read_bytes() == CONTENT


def test_a_wrong_file_in_the_cache_does_not_outlive_a_failed_download(server, file, tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT[:100])
    server.files.clear()

    with pytest.raises(DownloadError):
        quick(file, tmp_path)
    assert names(tmp_path) == []


def test_truncated_answers_are_put_together(server, file, tmp_path):
    server.at_most = 900

    assert quick(file, tmp_path, retries=1).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, *(f"bytes={900 * i}-" for i in range(1, 6))]
    assert names(tmp_path) == ["file.gz"]


def test_a_later_call_goes_on_where_the_download_broke_off(server, file, tmp_path):
    server.at_most = 900
    server.status = [200, 503, 503]
    with pytest.raises(DownloadError, match="503"):
        quick(file, tmp_path, retries=1)
    assert names(tmp_path) == ["file.gz.part"]
    assert (tmp_path / "file.gz.part").read_bytes() == CONTENT[:900]

    server.at_most = None
    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == ("/data/file.gz", "bytes=900-")
    assert names(tmp_path) == ["file.gz"]


def test_a_server_without_ranges_sends_it_all_again(server, file, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:900])
    server.ranges = False

    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/data/file.gz", "bytes=900-")]


def test_a_server_that_truncates_and_knows_no_ranges_is_given_up(server, file, tmp_path):
    server.ranges, server.at_most = False, 900

    with pytest.raises(DownloadError, match=r"900 of 5,000 bytes|connection failed"):
        quick(file, tmp_path, retries=2)
    # The first attempt brought something new; two more did not, and one after that was not made.
    assert len(server.requests) == 4
    assert names(tmp_path) == ["file.gz.part"]


def test_a_wrong_partial_file_costs_one_more_request(server, file, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(b"?" * 900)

    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=900-", None]
    assert names(tmp_path) == ["file.gz"]


@pytest.mark.parametrize("content", [CONTENT, b"?" * 5000, CONTENT + b"?"])
def test_a_partial_file_that_is_already_long_enough(server, file, tmp_path, content):
    (tmp_path / "file.gz.part").write_bytes(content)

    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == (1 if content == CONTENT else 2)
    assert names(tmp_path) == ["file.gz"]


def test_another_range_than_asked_for_is_not_appended(server, file, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:900])
    server.shifted = 10

    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=900-", None]


def test_an_answer_of_unknown_length_is_held_to_its_checksum(server, file, tmp_path):
    server.announced, server.at_most = False, 900
    with pytest.raises(DownloadError, match="MD5"):
        quick(file, tmp_path)
    assert names(tmp_path) == []

    server.at_most = None
    assert quick(file, tmp_path).read_bytes() == CONTENT


def test_a_server_that_does_not_answer_in_time(server, file, tmp_path):
    server.at_most, server.stalls = 0, True

    with pytest.raises(DownloadError, match="timed out"):
        quick(file, tmp_path, timeout=0.1, retries=0)
    assert not (tmp_path / "file.gz").exists()


def test_a_connection_that_stalls_is_taken_up_again(server, file, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 1000)
    server.at_most, server.stalls = 4000, True

    assert quick(file, tmp_path, timeout=0.5, retries=0).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=4000-"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_asked_again(server, file, tmp_path, status):
    server.status = [status]

    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        quick(file, tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_tried_again(server, file, tmp_path, status):
    server.status = [status, status]

    assert quick(file, tmp_path, retries=2).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_nobody_answers(tmp_path):
    file = RemoteFile("file.gz", MD5, ("http://127.0.0.1:9/",))

    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/file\.gz: the connection failed"):
        quick(file, tmp_path, retries=1)
    assert names(tmp_path) == []


@pytest.mark.parametrize("first", ["missing/", "wrong/"])
def test_the_next_mirror_is_asked(server, tmp_path, first):
    server.files["/data/wrong/file.gz"] = b"another file"
    file = RemoteFile("file.gz", MD5, (server.url + first, server.url))

    assert quick(file, tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == [f"/data/{first}file.gz", "/data/file.gz"]


def test_the_error_names_every_mirror_and_its_trouble(server, tmp_path):
    server.files = {"/data/wrong/file.gz": b"another file"}
    file = RemoteFile("file.gz", MD5, (server.url, server.url + "wrong/"))

    with pytest.raises(DownloadError, match=r"/data/file\.gz: .* 404 .*/data/wrong/file\.gz: .*MD5"):
        quick(file, tmp_path)


def test_a_malformed_address_is_a_download_error(tmp_path):
    with pytest.raises(DownloadError, match=r"file\.gz could not be downloaded"):
        quick(RemoteFile("file.gz", MD5, ("http://",)), tmp_path)


def test_a_folder_that_cannot_be_made_is_a_download_error(server, file, tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")

    with pytest.raises(DownloadError, match="cannot be downloaded to this place"):
        quick(file, tmp_path / "taken")
    assert server.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="there the checksum alone guards the file")
def test_two_at_once_download_once(server, file, tmp_path):
    server.at_most = 1500
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: quick(file, tmp_path), range(4)))

    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.requests) == 4  # four pieces, each asked for once
    assert names(tmp_path) == ["file.gz"]


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_on_a_terminal_only(server, file, tmp_path, monkeypatch, terminal):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)

    quick(file, tmp_path)

    assert ("file.gz" in screen.getvalue()) is terminal


@pytest.mark.usefixtures("published")
def test_a_whole_dataset_comes_from_the_cache_or_the_mirror(server, tmp_path, monkeypatch, idx_folder, idx_arrays):
    content = {}
    for path in idx_folder.iterdir():
        compressed = path.read_bytes() if path.suffix == ".gz" else gzip.compress(path.read_bytes())
        content[path.name.removesuffix(".gz") + ".gz"] = compressed
    server.files = {f"/data/{name}": each for name, each in content.items()}
    md5 = {name: hashlib.md5(content[name]).hexdigest() for name in MNIST.md5}
    monkeypatch.setattr(MNIST, "md5", md5)
    monkeypatch.setattr(MNIST, "mirrors", (server.url,))
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)

    raw = MNIST().load()

    assert (raw.test_inputs[..., 0] == idx_arrays["t10k-images-idx3-ubyte"]).all()
    assert names(tmp_path / "mnist") == sorted(md5)
    assert len(server.requests) == 4
    MNIST().load()
    assert len(server.requests) == 4


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    folder = download.cache_folder()

    assert folder.name == "qdistill"
    assert not folder.exists()
