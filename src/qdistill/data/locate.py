"""Finds the files of a dataset: in a folder that the user names, or else in the cache, after downloading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qdistill.errors import DataError

DATA_DIR_VARIABLE = "QDISTILL_DATA_DIR"


def locate(
    name: str,
    *,
    dataset: str,
    folders: Sequence[str],
    alternatives: Sequence[str],
    md5: str,
    mirrors: Sequence[str],
    data_dir: Path | None,
) -> Path:
    """Return the path of one published file of a dataset.

    Args:
        name: the file's name, as published.
        dataset: the dataset's name, which names its folder in the cache.
        folders: where below the user's data folder the file may lie; an empty string is that folder itself.
        alternatives: other names that will do there, such as that of the file without its compression.
        md5: the checksum of the published file; only a download is held to it.
        mirrors: the URLs of the folders to download it from.
        data_dir: the user's data folder, or None for QDISTILL_DATA_DIR or else the cache.

    Raises:
        DataError: the user's data folder does not hold the file.
        DownloadError: the file is not in the cache and could not be downloaded.
    """
    named, said = data_dir, "the argument `data_dir`"
    if named is None and os.environ.get(DATA_DIR_VARIABLE):
        named, said = Path(os.environ[DATA_DIR_VARIABLE]), f"the environment variable {DATA_DIR_VARIABLE}"
    if named is None:
        # Only here, because the HTTP client takes a third of a second to import.
        from qdistill.data.download import RemoteFile, cache_folder, fetch

        return fetch(RemoteFile(name, md5, tuple(mirrors)), cache_folder() / dataset)
    named = Path(named).expanduser()
    if not named.is_dir():
        raise DataError(f"{named}: {said} names this data folder, but there is no such folder.")
    for folder in folders:
        for candidate in (name, *alternatives):
            path = named / folder / candidate
            if path.exists():
                return path
    sought = " or ".join(str(named / folder) for folder in folders)
    also = f" (or {' or '.join(alternatives)})" if alternatives else ""
    raise DataError(
        f"{name}{also} of the dataset {dataset} was sought in {sought}, because {said} names this data "
        f"folder, but is not there. Put the official file there, from {' or '.join(mirrors)}, or name no "
        f"data folder to have it downloaded."
    )
