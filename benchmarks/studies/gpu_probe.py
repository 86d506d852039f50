"""Two things done on a GPU by the driver alone: a tiny kernel, and taking nearly all memory.

    python -m benchmarks.studies.gpu_probe kernel     runs a kernel and checks what it computed
    python -m benchmarks.studies.gpu_probe hold MIB   takes all memory but so many MiB, until its
                                                      standard input ends

The kernel is a text in PTX, which the driver compiles, so that no toolkit is needed.
"""

from __future__ import annotations

import ctypes
import json
import sys

PTX = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry square(.param .u64 where)
{
    .reg .u64 %rd<4>;
    .reg .u32 %r<3>;
    ld.param.u64 %rd1, [where];
    cvta.to.global.u64 %rd1, %rd1;
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.u64 %rd3, %rd1, %rd2;
    mul.lo.u32 %r2, %r1, %r1;
    st.global.u32 [%rd3], %r2;
    ret;
}
"""

THREADS = 256


class Cuda:
    """The driver's library, with the GPU's own context made current.

    Raises:
        OSError: there is no driver.
        RuntimeError: a call failed.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name: str, *arguments: object) -> None:
        """Call a function of the driver.

        Raises:
            RuntimeError: the call failed.
        """
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with error {status}")

    def allocate(self, size: int) -> ctypes.c_uint64:
        """Take memory of the GPU, and return where it is."""
        where = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(where), ctypes.c_size_t(size))
        return where

    def memory(self) -> tuple[int, int]:
        """The GPU's bytes that are free, and all its bytes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value


def kernel() -> dict[str, object]:
    """Run the kernel.

    Raises:
        RuntimeError: a call failed, or the kernel computed something else.
    """
    cuda = Cuda()
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    cuda.call("cuModuleLoadData", ctypes.byref(module), PTX)
    cuda.call("cuModuleGetFunction", ctypes.byref(function), module, b"square")
    where = cuda.allocate(4 * THREADS)
    parameters = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(where), ctypes.c_void_p))
    cuda.call("cuLaunchKernel", function, 1, 1, 1, THREADS, 1, 1, 0, None, parameters, None)
    cuda.call("cuCtxSynchronize")
    found = (ctypes.c_uint32 * THREADS)()
    cuda.call("cuMemcpyDtoH_v2", found, where, ctypes.c_size_t(4 * THREADS))
    if list(found) != [number * number for number in range(THREADS)]:
        raise RuntimeError("the kernel computed something else than squares")
    free, total = cuda.memory()
    return {"threads": THREADS, "free_bytes": free, "total_bytes": total}


def hold(left_mib: int) -> None:
    """Take all memory of the GPU but so much, and keep it until standard input ends."""
    cuda = Cuda()
    free, _ = cuda.memory()
    taken = free - (left_mib << 20)
    cuda.allocate(taken)
    print(f"holding {taken} bytes of the GPU's memory", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:] == ["kernel"]:
        print(json.dumps(kernel()))
    elif sys.argv[1:2] == ["hold"]:
        hold(int(sys.argv[2]))
    else:
        sys.exit(__doc__)
