"""Programs as NumPy code over whole arrays, in single or double precision: for models with wide matrices."""

from dynamics.lowering.arrays.fused import fused
from dynamics.lowering.arrays.kernel import ArrayKernel, array_kernel

__all__ = ["ArrayKernel", "array_kernel", "fused"]
