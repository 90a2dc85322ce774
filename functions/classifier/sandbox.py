"""Takes from the current process everything but computing and the files that are open.

The kernel enforces it: with resource limits on every Linux, and with a filter of system calls (seccomp, BPF) where it
may be set. https://docs.kernel.org/userspace-api/seccomp_filter.html explains the filter.
"""

import ctypes
import os
import platform
import resource
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_ALLOW, _REFUSE, _NO_SUCH_CALL = (
    0x7FFF0000,
    0x00050001,
    0x00050026,
)  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with an errno
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000

# The system calls that decoders and the interpreter need, with the AUDIT_ARCH value of each architecture
# (linux/audit.h). Their numbers are in arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of
# the kernel. `clone` is allowed for threads only; `clone3` hides its flags in memory, and libc falls back to `clone` if
# there is no such call. `strace -f` shows a call that is missing here: it returns EPERM.
CALLS = {
    "x86_64": (0xC000003E, {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28,
        "getpid": 39, "clone": 56, "exit": 60, "getrusage": 98, "sigaltstack": 131, "gettid": 186, "futex": 202,
        "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228, "clock_nanosleep": 230,
        "exit_group": 231, "set_robust_list": 273, "getrandom": 318, "rseq": 334, "clone3": 435,
    }),
    "aarch64": (0xC00000B7, {
        "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
        "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sched_yield": 124, "mremap": 216,
        "madvise": 233, "getpid": 172, "clone": 220, "exit": 93, "getrusage": 165, "sigaltstack": 132, "gettid": 178,
        "futex": 98, "sched_getaffinity": 123, "restart_syscall": 128, "clock_gettime": 113, "clock_nanosleep": 115,
        "exit_group": 94, "set_robust_list": 99, "getrandom": 278, "rseq": 293, "clone3": 435,
    }),
}  # fmt: skip


def lock() -> bool:
    """Refuse to open files and sockets, to start processes, and all other system calls that decoders do not need.

    Whatever the process still has to import or to open must be there before. Return whether the kernel accepted the
    filter of system calls. Without it, the resource limits still refuse new files and sockets.
    """
    # Nothing of what libraries print, which a photo can make endless, reaches the function's log.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.closerange(3, 2**16)  # what the parent has left open to its children: Lambda's runtime is not all Python
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))  # RLIMIT_NOFILE: no further descriptor; those that are open stay
    if platform.system() != "Linux" or platform.machine() not in CALLS:
        return False
    program = _filter(*CALLS[platform.machine()])
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions of 8 bytes, and their address
    pointer = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(pointer), 0, 0) == 0)


def _filter(architecture: int, calls: dict[str, int]) -> bytes:
    """Return the filter's program. The comparison with an allowed call jumps over the next return if it differs."""
    allowed = [number for name, number in calls.items() if name not in {"clone", "clone3"}]
    return b"".join(
        struct.pack("HBBI", code, if_true, if_false, value)
        for code, if_true, if_false, value in [
            (_LOAD, 0, 0, _ARCHITECTURE),
            (_JUMP_IF_EQUAL, 1, 0, architecture),
            (_RETURN, 0, 0, _REFUSE),
            (_LOAD, 0, 0, _NUMBER),
            *(step for number in allowed for step in [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]),
            (_JUMP_IF_EQUAL, 0, 1, calls["clone3"]),
            (_RETURN, 0, 0, _NO_SUCH_CALL),
            (_JUMP_IF_EQUAL, 1, 0, calls["clone"]),
            (_RETURN, 0, 0, _REFUSE),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_JUMP_IF_SET, 0, 1, _CLONE_THREAD),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    )
