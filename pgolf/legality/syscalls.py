"""What a sealed process may ask of the kernel: a filter of system calls (seccomp), and Landlock. Standard library only.

The filter refuses what reaches other processes, keys, mounts or attributes of files, what tells of use that others make
of files, and every call that is newer than this table. A refused call fails with an error, so that a library that only
tries goes on without.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Collection, Mapping

PR_SET_SECCOMP, FILTER = 22, 2
NEWEST = 469  # on both architectures; file_setattr, Linux 6.17
# architecture → (its number in a filter, the column of REFUSED)
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
CLONE, SOCKET, FCNTL = (56, 220), (41, 198), (72, 25)
NEW_NAMESPACES = 0x7E020000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
LOCKS_OF_OTHERS = (5, 36, 1024, 1025, 1026)  # fcntl: who holds a lock, leases, notices of a folder's use

# name → numbers on x86_64 and aarch64; None: not there
Calls = Mapping[str, tuple[int | None, int | None]]
PROCESSES: Calls = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
}
KEYS: Calls = {"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)}
MOUNTS: Calls = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
MACHINE: Calls = {
    "syslog": (103, 116),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "iopl": (172, None),
    "ioperm": (173, None),
    "ustat": (136, None),
}
NEW_WAYS: Calls = {  # by which other calls can be made, or flags be hidden from a filter
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
ATTRIBUTES: Calls = {
    **{f"{kind}{what}": (188 + 3 * i + j, 5 + 3 * i + j)  # four whats of three kinds, one after the other
       for i, what in enumerate(("setxattr", "getxattr", "listxattr", "removexattr"))
       for j, kind in enumerate(("", "l", "f"))},
    "setxattrat": (463, 463),
    "getxattrat": (464, 464),
    "listxattrat": (465, 465),
    "removexattrat": (466, 466),
    "file_getattr": (468, 468),
    "file_setattr": (469, 469),
}  # fmt: skip
USE_BY_OTHERS: Calls = {  # of files and disks: how full they are, who opens what, which pages are in memory
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "mincore": (27, 232),
    "cachestat": (451, 451),
}
SHARED_MEMORY: Calls = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}


def filter_of(machine: str, families: Collection[int], without: Collection[str], trains: bool) -> bytes:
    """The filter's program for an architecture; KeyError for one that is not in the table.

    `families` of sockets that may be made; `without` "IPC namespace", shared memory is refused, too. A program that
    `trains` may ask how full a disk is, and who holds a lock.
    """
    architecture, column = ARCHITECTURES[machine]
    refused = [(calls, errno.EPERM) for calls in (PROCESSES, KEYS, MOUNTS, MACHINE)]
    refused += [(NEW_WAYS, errno.ENOSYS), (ATTRIBUTES, errno.ENOTSUP)]
    refused += [] if trains else [(USE_BY_OTHERS, errno.ENOSYS)]
    refused += [(SHARED_MEMORY, errno.ENOSYS)] if "IPC namespace" in without else []
    allow, load_number = _return(None), _load(0)
    program = [_load(4), _jump(EQUAL, architecture, 1, 0), _return(errno.ENOSYS), load_number]
    program += [_jump(GREATER, NEWEST, 0, 1), _return(errno.ENOSYS)]  # the x32 calls of x86_64 as well
    for calls, error in refused:
        for number in filter(None, (numbers[column] for numbers in calls.values())):
            program += [_jump(EQUAL, number, 0, 1), _return(error)]
    spaces = [_load(16), _jump(ANY_BIT, NEW_NAMESPACES, 0, 1), _return(errno.EPERM), allow]
    sockets = [_load(16)]
    for family in families:
        sockets += [_jump(EQUAL, family, 0, 1), allow]
    asks = [_load(24)]
    for command in () if trains else LOCKS_OF_OTHERS:
        asks += [_jump(EQUAL, command, 0, 1), _return(errno.EPERM)]
    for call, then in ((CLONE, spaces), (SOCKET, [*sockets, _return(errno.EAFNOSUPPORT)]), (FCNTL, [*asks, allow])):
        program += [_jump(EQUAL, call[column], 0, len(then)), *then]
    return b"".join([*program, allow])


EQUAL, GREATER, ANY_BIT = 0x15, 0x25, 0x45  # jumps: load and compare


def _load(offset: int) -> bytes:
    """Of struct seccomp_data: the call's number at 0, the architecture at 4, arguments from 16 on."""
    return struct.pack("<HBBI", 0x20, 0, 0, offset)


def _jump(kind: int, value: int, if_so: int, if_not: int) -> bytes:
    return struct.pack("<HBBI", kind, if_so, if_not, value)


def _return(error: int | None) -> bytes:
    """Refuse with an error, or allow the call."""
    return struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000 if error is None else 0x50000 | error)


def refuse_calls(libc: ctypes.CDLL, families: Collection[int], without: Collection[str], trains: bool) -> bool:
    """Put the filter in force, for this process and its children. False where the kernel has none.

    The process must have given up getting new privileges.
    """
    if platform.machine() not in ARCHITECTURES:
        return False
    program = filter_of(platform.machine(), families, without, trains)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    done: bool = libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.c_char_p(head), 0, 0) == 0
    return done


# --- Landlock: system calls and rights are the same on every architecture
CREATE, ADD, RESTRICT = 444, 445, 446
READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
CHANGING = WRITE_FILE | sum(1 << i for i in range(4, 13))  # write, remove, make
TCP, SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals


def landlock(libc: ctypes.CDLL, rules: Mapping[str, Collection[str]], tcp: bool) -> list[str]:
    """From here on this process and its children open no other files. What is in force: "Landlock", and "Landlock's
    scopes" where the kernel knows those; nothing without Landlock.

    `rules`: paths by "list" (folders), "read" and "write"; `tcp`: it may use it.
    """
    abi = libc.syscall(CREATE, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return []
    changing = CHANGING | (1 << 13 if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    handled = struct.pack("<Q", READ_FILE | READ_DIR | changing)
    handled += struct.pack("<Q", 0 if tcp else TCP) if abi >= 4 else b""
    handled += struct.pack("<Q", SCOPES) if abi >= 6 else b""
    ruleset = libc.syscall(CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    rights = {"list": READ_DIR, "read": READ_FILE | READ_DIR, "write": READ_FILE | READ_DIR | changing}
    for kind, access in rights.items():
        for path in filter(os.path.exists, rules[kind]):
            fd = os.open(path, os.O_PATH)
            of_files = access if os.path.isdir(path) else access & (READ_FILE | WRITE_FILE | TRUNCATE)
            libc.syscall(ADD, ruleset, 1, struct.pack("<Qi", of_files, fd), 0)
            os.close(fd)
    done = libc.syscall(RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return [] if not done else ["Landlock", "Landlock's scopes"] if abi >= 6 else ["Landlock"]
