"""The clock of one process, which a test may put forward or back: a library that is loaded before the process's own."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *ahead;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_FILE"), O_RDONLY);
    ahead = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
}
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += *ahead;
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """A clock that processes have which are started with :attr:`environment`; the machine's, without a C compiler."""

    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path) -> None:
        if (compiler := shutil.which("cc")) is None:
            return
        source, library, self._file = (folder / name for name in ("clock.c", "clock.so", "ahead"))
        source.write_text(_SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def set(self, ahead: int) -> None:
        """Let it be so many seconds ahead of the machine's."""
        if not self.environment:
            pytest.skip("no C compiler here")
        with self._file.open("r+b") as file:  # which they have mapped
            file.write(struct.pack("q", ahead))
