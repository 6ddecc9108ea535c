"""Program images: from the kernel's hashes to names, and from /proc to the kernel's hashes."""

import os
from pathlib import Path

import numpy as np

from baseline.kernel import layout
from baseline.kernel.bpf_syscall import BpfMap
from baseline.window import FOLDED_IMAGE, Image

_DELETED = " (deleted)"
_UNKNOWN = Image("unknown")
"""Stands for an image whose name found no room in the kernel's table."""

_FORGED = Image("forged name")
"""Stands for an image whose name in the kernel's table was written by somebody else."""

_REMEMBERED = 1 << 15


class Images:
    """Names of images by their hashes, as the kernel keeps them; each is looked up once.

    Args:
        table: the kernel's map of them.
        seed: that of the hashes; a name that does not have its hash was put there by root, to let
            a program pass for another.
    """

    def __init__(self, table: BpfMap, seed: int) -> None:
        self._table = table
        self._seed = seed
        self._names: dict[int, Image] = {}

    def lineage(self, hashes: np.typing.NDArray[np.uint64]) -> tuple[Image, ...]:
        """Images of a lineage, oldest first, from its hashes, newest first and 0 for none."""
        return tuple(self.name(h) for h in reversed(hashes.tolist()) if h)

    def name(self, image_hash: int) -> Image:
        """The image with this hash; ``unknown`` where the kernel had no room for its name."""
        known = self._names.get(image_hash)
        if known is None:
            if image_hash == layout.IMAGE_FOLDED:
                return FOLDED_IMAGE
            value = self._table.lookup(image_hash.to_bytes(8, "little"))
            if value is None:
                return _UNKNOWN
            if len(self._names) >= _REMEMBERED:
                self._names.clear()  # looked up again when they come again
            image = np.frombuffer(value, layout.IMAGE)[0]
            genuine = hash_image(image, self._seed) == image_hash
            known = self._names[image_hash] = decode_image(image) if genuine else _FORGED
        return known


def decode_image(image: np.void) -> Image:
    """The kernel's record of an image as people read it."""
    names = [_text(name) for name in image["path"].tolist() if name]
    flags = int(image["flags"])
    path = "/".join(reversed([name for name in names if name != "/"]))
    if flags & layout.IMAGE_PATH_CUT:
        path = f".../{path}"
    elif not flags & layout.IMAGE_DETACHED:
        path = f"/{path}"
    return Image(path, _text(image["script"]), bool(flags & layout.IMAGE_UNLINKED))


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def hash_image(image: np.void, seed: int) -> int:
    """Hash of an image as ``hash_image`` of ``bpf/executions.c`` computes it."""
    value = seed
    for word in np.frombuffer(image.tobytes(), "<u8").tolist():
        value = (value ^ word) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 29
    return value if value > layout.IMAGE_FOLDED else layout.IMAGE_FOLDED + 1


def running_image(process: Path) -> np.void:
    """Record of the image that a process runs, from its folder in /proc, as exec would make it.

    Raises:
        OSError: the process is gone, or it is a kernel thread.
    """
    image: np.void = np.zeros(1, layout.IMAGE)[0]
    target = os.fsencode((process / "exe").readlink())
    links = (process / "exe").stat().st_nlink
    flags = 0
    if not links:
        flags |= layout.IMAGE_UNLINKED
        target = target.removesuffix(_DELETED.encode())
    names = [name for name in target.split(b"/") if name]
    if target.startswith(b"/memfd:") and not links:
        flags |= layout.IMAGE_DETACHED
    if len(names) > layout.PATH_COMPONENTS:
        flags |= layout.IMAGE_PATH_CUT
    kept = [name[: layout.COMPONENT_SIZE - 1] for name in reversed(names)]
    for index, name in enumerate(kept[: layout.PATH_COMPONENTS]):
        image["path"][index] = name
    image["script"] = _running_script(process, names[-1] if names else b"")
    image["flags"] = flags
    return image


def _running_script(process: Path, program: bytes) -> bytes:
    """The script that a process was started as, empty where it was not by ``#!``.

    The kernel names such a process after its script (``begin_new_exec`` in fs/exec.c) and puts the
    script after the interpreter and its at most one argument (fs/binfmt_script.c).
    """
    comm = (process / "comm").read_bytes().rstrip(b"\n")
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    if program.startswith(comm):
        return b""
    for argument in arguments[1:3]:
        if argument.rsplit(b"/", 1)[-1][: layout.COMM_SIZE - 1] == comm:
            return argument[: layout.SCRIPT_SIZE - 1]
    return b""
