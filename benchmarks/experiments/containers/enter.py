"""Run inside new namespaces: mount what a plan says, change the root, and become the command.

A script of its own, as it is the process that becomes the container's. Its argument is a plan as
JSON: ``root``, ``read_only``, ``mounts`` (lists of arguments of `mount`), ``workdir``, ``uid``,
``gid``, ``argv``. The environment is the command's.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
_DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # the machine's, whatever the command's PATH is


def mount_all(root: str, mounts: list[list[str]], *, read_only: bool) -> None:
    """Mount the root, what every container has in it, and then what the plan says."""
    tool(["mount", "--make-rprivate", "/"])
    tool(["mount", "--bind", root, root])
    if read_only:
        tool(["mount", "-o", "remount,bind,ro", root])
    tool(["mount", "-t", "proc", "proc", f"{root}/proc"])
    mount_devices(Path(root, "dev"))
    for arguments in mounts:
        tool(["mount", *arguments])


def mount_devices(folder: Path) -> None:
    """The devices that every container has, and shared memory."""
    tool(["mount", "-t", "tmpfs", "-o", "mode=755", "dev", str(folder)])
    for name in _DEVICES:
        Path(folder, name).touch()
        tool(["mount", "--bind", f"/dev/{name}", str(folder / name)])
    (folder / "shm").mkdir()
    tool(["mount", "-t", "tmpfs", "-o", "mode=1777", "shm", str(folder / "shm")])


def tool(command: list[str]) -> None:
    """Run a command of the machine."""
    subprocess.run(command, check=True, env=_TOOLS)


def become(plan: dict[str, object]) -> None:
    """Change root, folder and user, give up every privilege, and become the command."""
    uid, gid = int(str(plan["uid"])), int(str(plan["gid"]))
    libc = ctypes.CDLL(None, use_errno=True)
    argv = [str(word) for word in plan["argv"]]  # type: ignore[attr-defined]
    os.chroot(str(plan["root"]))
    os.chdir(str(plan["workdir"]))
    if uid:
        capability = 0
        while libc.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0) == 0:
            capability += 1
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.execvpe(argv[0], argv, os.environ)


def main() -> None:
    """Do what the plan says."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    if plan["mounts"] is not None:
        mount_all(plan["root"], plan["mounts"], read_only=plan["read_only"])
    if plan["loopback"]:
        tool(["ip", "link", "set", "lo", "up"])
    become(plan)


if __name__ == "__main__":
    main()
