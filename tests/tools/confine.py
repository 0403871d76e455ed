# SPDX-License-Identifier: Apache-2.0
"""confine: what a unit takes from its program, as systemd would: system calls, address families, writable code,
folders to write to, other processes.

Not PrivateTmp=: folders that machines of a test share lie in /tmp.
"""
import ctypes
import functools
import os
import re
import socket
import subprocess

ERRNO_EPERM, ALLOW = 0x00050001, 0x7FFF0000
MASKED_EQUAL = 7
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 1 << 14, 1 << 18
WRITE, EXECUTE = 2, 4
NEW_MOUNTS = 0x00020000
libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64)]


@functools.cache
def library():
    """None where it is missing: system calls are not confined there."""
    try:
        seccomp = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                               ctypes.POINTER(Comparison)]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    return seccomp


@functools.cache
def groups():
    """systemd's own: @name -> words, some of them groups."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    found, name = {}, None
    for line in listed.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif name and line.startswith(" ") and not line.strip().startswith("#"):
            found[name].append(line.strip())
        elif not line.startswith(" "):
            name = None
    return found


def calls(words):
    return {c for w in words for c in (calls(groups()[w]) if w.startswith("@") else [w])}


def allowed(unit):
    """None: all."""
    found = None
    for line in unit.all("SystemCallFilter"):
        named = calls(line.lstrip("~").split())
        if line.startswith("~"):
            found -= named
        else:
            found = (found or calls(["@default"])) | named
    return found


def conditions(unit, call):
    """Each as (argument, mask, value), of which one must hold; None: no condition."""
    if call == "socket" and unit.all("RestrictAddressFamilies"):
        return [(0, 0xFFFFFFFF, getattr(socket, f)) for f in unit.get("RestrictAddressFamilies").split()]
    if unit.get("MemoryDenyWriteExecute") == "yes":
        if call == "mmap":
            return [(2, WRITE | EXECUTE, prot) for prot in (0, WRITE, EXECUTE)]
        if call in ("mprotect", "pkey_mprotect"):
            return [(2, EXECUTE, 0)]
    return None


def prepare(unit):
    """In the manager, where systemd's tools are."""
    if library() and unit.all("SystemCallFilter"):
        groups()


def system_calls(unit):
    """The last step before the program: nothing comes after that it would forbid."""
    seccomp = library()
    if not seccomp or not unit.all("SystemCallFilter"):
        return
    context = seccomp.seccomp_init(ERRNO_EPERM)
    for call in allowed(unit):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number == -1:
            continue  # not of this architecture
        for condition in conditions(unit, call) or [None]:
            rule = (Comparison * 1)(*([Comparison(condition[0], MASKED_EQUAL, *condition[1:])] if condition else []))
            seccomp.seccomp_rule_add_array(context, ALLOW, number, 1 if condition else 0, rule)
    if seccomp.seccomp_load(context):
        raise OSError("the filter of system calls cannot be loaded")


def mount(source, target, kind, flags=0, options=None):
    words = [w and w.encode() for w in (source, target, kind, options)]
    if libc.mount(*words[:3], ctypes.c_ulong(flags), words[3]):
        raise OSError(ctypes.get_errno(), f"mount of {target}")


def mounts_below(root):
    points = [line.split()[4] for line in open("/proc/self/mountinfo")]
    return [p for p in points if p == root or p.startswith(root + "/")]


def writable(unit):
    folders = unit.all("ReadWritePaths")
    for key, parent in (("StateDirectory", "/var/lib/"), ("RuntimeDirectory", "/run/")):
        folders = folders + [parent + f for f in (unit.get(key) or "").split()]
    return folders


def folders(unit, root):
    """Before the program's root is changed, as root."""
    if unit.get("ProtectSystem") != "strict":
        return
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    mount(None, "/", None, RECURSIVE | PRIVATE)
    ours = [root + f for f in writable(unit)]
    for folder in ours:
        mount(folder, folder, None, BIND)
    if unit.get("ProtectHome") == "yes":
        for folder in ("/root", "/home"):
            mount("none", root + folder, "tmpfs", 0, "mode=0000")
    if unit.get("ProtectProc") == "invisible":
        subset = ",subset=pid" if unit.get("ProcSubset") == "pid" else ""
        mount("proc", root + "/proc", "proc", 0, "hidepid=invisible" + subset)
    for point in set(mounts_below(root)) - set(ours):
        if not re.match("/(dev|proc|sys)(/|$)", point.removeprefix(root)):
            mount(None, point, None, REMOUNT | BIND | READ_ONLY)
