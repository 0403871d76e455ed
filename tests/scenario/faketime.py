# SPDX-License-Identifier: Apache-2.0
"""faketime: programs that see another wall clock.

The program `faketime` and its library name what their processes share by the number of a process.  What one leaves that
is killed stops another, much later, that has the number then; so the names are made here, from random numbers."""
import atexit
import ctypes
import glob
import os
import secrets

from scenario import skip

LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"
SHARED = "/dev/shm/"


def is_installed():
    return bool(glob.glob(LIBRARIES))


def forget(*files):
    for file in files:
        if os.path.exists(file):
            os.unlink(file)


def shared():
    """A semaphore and memory that nobody else has; what the library is told of them."""
    name = "keyfleet-clock-" + secrets.token_hex(8)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    if not libc.sem_open(b"/" + name.encode(), os.O_CREAT | os.O_EXCL, 0o600, 1):
        raise OSError(ctypes.get_errno(), "sem_open")
    with open(SHARED + name, "xb") as memory:
        memory.write(bytes(4096))
    atexit.register(forget, SHARED + "sem." + name, SHARED + name)
    return f"/{name} /{name}"


def clock(offset=None, **more):
    """Environment of one program whose clock is so far off: "+90s", "-30d"."""
    libraries = glob.glob(LIBRARIES)
    if not libraries:
        skip("faketime is not installed")
    if offset:
        more["FAKETIME"] = offset
    return {"LD_PRELOAD": libraries[0], "FAKETIME_SHARED": shared(), **more}
