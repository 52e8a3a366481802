"""Uploads in a process of their own: how much memory a large one needs, or many of the same bytes at once.

``python upload_child.py SERVICE STORE FILE...`` prints JSON: the addresses, and by how many MB the last file made the
process's peak grow.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from pathlib import Path

from kiegen_nb.session import Session

PROC = Path("/proc/self")


def peak() -> float:
    """Return the most memory this process had since `forget_peak`, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def forget_peak() -> None:
    """Have the peak begin again at what is in use now."""
    gc.collect()
    (PROC / "clear_refs").write_text("5")


def main(service: str, store: str, *files: Path) -> None:
    """Upload the files one after the other."""
    with Session("child", base_url=service, database_url=store) as session:
        urls = [str(session.upload(file)) for file in files[:-1]]  # loads what any upload needs
        forget_peak()
        before = peak()
        urls.append(str(session.upload(files[-1])))
        grown = peak() - before
    sys.stdout.write(json.dumps({"urls": urls, "grown": grown}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(Path, sys.argv[3:]))
