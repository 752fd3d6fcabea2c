"""How kernels for the CPU are compiled: without Python's lock, without checks of bounds, and without fast-math.

Products and sums round one after the other, as in PyTorch, and integers are exact, so that results equal the plain back
end's to the bit.
"""

from numba import njit

jit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
