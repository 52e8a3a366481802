"""Fetches a small film, then a large one, and prints by how much the large one made this process's peak grow.

``python download_child.py SMALL_SERVICE LARGE_SERVICE FOLDER``; started by ``mishaps.py``.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

from kiegen_nb.kie.models.sora2 import sora2
from kiegen_nb.session import Session

PROC = Path("/proc/self")


def peak() -> float:
    """Return the most memory this process had since `forget_peak`, in MB."""
    if (PROC / "status").exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text())
        assert found is not None
        return int(found[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """Have the peak begin again at what is in use now, where the system can."""
    if (PROC / "clear_refs").exists():
        (PROC / "clear_refs").write_text("5")


def main(small: str, large: str, folder: Path) -> None:
    """Fetch both films and print what happened as JSON."""
    made: dict[str, Any] = {"output_dir": folder / "output", "poll_interval": 0.1}
    with Session("benchmark", base_url=small, database_url=folder / "small.sqlite3", **made) as session:
        session.submit(sora2("a kite"), prompt_id="small").result(60)  # loads what any film needs
    gc.collect()
    with Session("benchmark", base_url=large, database_url=folder / "large.sqlite3", **made) as session:
        forget_peak()
        before, start = peak(), time.perf_counter()
        task = session.submit(sora2("a kite"), prompt_id="large").result(120)
        seconds, grown = time.perf_counter() - start, peak() - before
    asset = task.assets[0]
    found = [file for file in (folder / "output" / "large").iterdir() if file.is_file()]
    finished = [file for file in found if file.suffix != ".json" and file.name[0] != "."]
    said = {"grown": grown, "seconds": seconds, "sha256": asset.sha256, "error": asset.error, "files": len(finished)}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
