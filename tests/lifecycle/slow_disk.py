"""A disk on which each sync takes its time, as a library that is loaded before the C library."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Nothing is synced: note that it was asked for, and take the time. */
static int note(void) {
    long ms = atol(getenv("SYNC_MILLISECONDS"));
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    int file = open(getenv("SYNC_NOTES"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (write(file, "s", 1) != 1) abort();
    close(file);
    nanosleep(&time, NULL);
    return 0;
}

int fsync(int file) { (void)file; return note(); }
int fdatasync(int file) { (void)file; return note(); }
"""


class SlowDisk:
    """Compile the library.

    Args:
        folder: where it and its notes are.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "slow_disk.so"
        self.notes: Path = folder / "syncs"
        self.notes.touch()
        source = folder / "slow_disk.c"
        source.write_text(SOURCE, encoding="ascii")
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler is not None, "a C compiler is needed"
        command = [compiler, "-shared", "-fPIC", "-o", str(self._library), str(source)]
        subprocess.run(command, check=True)

    def environment(self, seconds: float) -> dict[str, str]:
        """Return what a process needs in its environment to have the disk.

        Args:
            seconds: how long a sync takes.
        """
        return {
            "LD_PRELOAD": str(self._library),
            "SYNC_NOTES": str(self.notes),
            "SYNC_MILLISECONDS": f"{seconds * 1000:.0f}",
        }
