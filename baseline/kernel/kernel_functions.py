"""Calls of the kernel's own functions (kfuncs), which BCC cannot compile.

The C calls a helper of a number that no helper has, and the compiled instruction is changed to call
the function, as ``BPF_PSEUDO_KFUNC_CALL`` in ``include/uapi/linux/bpf.h`` says.
"""

import ctypes
import struct

_INSTRUCTION = struct.Struct("<BBhi")  # code, registers, offset, immediate; struct bpf_insn
_CALL = 0x85  # BPF_JMP | BPF_CALL
_KERNEL_FUNCTION = 2 << 4  # the source register says that the immediate is the id of a type

RDONLY_CAST_MARK = 0x7BA5E001
"""Stands for ``bpf_rdonly_cast()`` in ``bpf/current.h``."""


def call_kernel_function(start: int, size: int, mark: int, function: int) -> None:
    """Change, in place, calls of a helper into calls of a kernel function.

    Args:
        start: address of the compiled program, in this process.
        size: its length in bytes.
        mark: the helper's number.
        function: the function's id among the kernel's types.
    """
    program = (ctypes.c_ubyte * size).from_address(start)
    for position in range(0, size, _INSTRUCTION.size):
        code, registers, offset, immediate = _INSTRUCTION.unpack_from(program, position)
        if (code, registers, immediate) == (_CALL, 0, mark):
            _INSTRUCTION.pack_into(program, position, code, _KERNEL_FUNCTION, offset, function)
