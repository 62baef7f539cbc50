"""`qdistill evaluate`: the replay of a bundle."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

from qdistill.cli.shared import BundlePath, Cache, DataDir, accuracy, bundle_file, call, use_compilation_cache


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(evaluate, arguments)


def evaluate(
    bundle: BundlePath,
    *,
    data_dir: DataDir = None,
    as_json: Annotated[bool, FlagCreatePairsOff, arg(name="json")] = False,
    compilation_cache: Cache = True,
) -> int:
    """Replay a bundle's training and measure the network on the test set.

    Args:
        bundle: a bundle file, or the folder of a run.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    path = bundle_file(bundle)
    if compilation_cache:
        use_compilation_cache()
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.protocol import replay

    loaded = DistilledDataset.load(path)
    result = replay(loaded, data_dir=data_dir)
    if as_json:
        print(json.dumps({"bundle": str(path), "dataset": loaded.dataset, **dataclasses.asdict(result)}))
        return 0
    recorded = result.recorded_test_accuracy
    print(f"{path} on the test set of {loaded.dataset}")
    print(f"  test accuracy      {accuracy(result.test_accuracy, result.n_test)}")
    print(f"  recorded           {accuracy(recorded, loaded.record.n_test)}")
    return 0
