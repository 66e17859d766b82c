"""What generated code calls: a vectorisable exponential, products with a sparse matrix, dense ones on several threads.

The sparse matrix is given by compressed rows: row o holds entries ``start[o] ... start[o+1] - 1``, entry e has
weight[e] and stands for row ``word[e]`` of the dense operand. All three products work on panels of TILE columns: a
panel of the dense operand is packed so that it stays in cache, and panels are independent, so that
they run in parallel without conflicts. The order of additions does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.linalg import ensure_blas

from dynamics.lowering.machine.panels import PANELS, TILE
from dynamics.lowering.machine.parallel import in_turns
from dynamics.support.machine_code import kept

LINE = 8
"""Numbers in a line of cache, and in the longest vectors."""

FAST = {"reassoc", "contract", "nsz", "arcp"}

SHARED_ROWS, SHARED_PRODUCTS = 192, 8_000_000
"""Rows and multiplications of a dense product from which its rows are shared out: blocks are worth a call of BLAS each,
and beyond what OpenBLAS multiplies in another order."""
ROWS_TOGETHER = 12
"""Rows that OpenBLAS holds in registers: blocks that end with them have the bits of one call."""
BLOCK_ROWS = 96
"""Rows of a block, about: each block packs the other matrix anew."""
WIDE = 48
"""Columns that are worth a chunk of their own, where there are many rows."""


@intrinsic
def bits_to_float(typingctx, bits):
    """The float64 with the given 64 bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def float_to_bits(typingctx, value):
    """The 64 bits of a float64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


LOG2E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which then stands in the lowest bits
TINY, HUGE = -708.39, 709.782712893384  # the logarithm of the largest number


@njit(error_model="numpy", forceinline=True)
def select(condition, one, other):
    """One number or the other: a conditional expression that rows of numbers can have too."""
    return one if condition else other


# Re-association would undo the rounding trick, hence contract only, whatever the caller allows.
@njit(fastmath={"contract"}, inline="never", error_model="numpy")
def exp(x):
    """exp without branches, so that loops over it vectorise; at most 1 unit in the last place off, 0 below e^-708."""
    inside = min(max(x, TINY), HUGE)
    shifted = inside * LOG2E + ROUND
    n = shifted - ROUND
    r = (inside - n * LN2_HIGH) - n * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    p23 = 0.5 + r * 1.6666666666666666e-01
    p45 = 4.1666666666666664e-02 + r * 8.3333333333333332e-03
    p67 = 1.3888888888888889e-03 + r * 1.9841269841269841e-04
    p89 = 2.4801587301587302e-05 + r * 2.7557319223985893e-06
    pab = 2.7557319223985888e-07 + r * 2.5052108385441720e-08
    pcd = 2.0876756987868100e-09 + r * 1.6059043836821613e-10
    low = r2 * p23 + r4 * (p45 + r2 * p67)
    high = (p89 + r2 * pab) + r4 * pcd
    # From the smallest term to the largest: one rounding near 1, not four.
    value = 1.0 + (r + (low + (r4 * r4) * high))
    # Adding n to the exponent's bits multiplies by 2^n without forming 2^1024, which does not exist.
    k = float_to_bits(shifted) << 52  # type: ignore[call-arg]
    scaled = bits_to_float(float_to_bits(value) + k)
    scaled = select(x < TINY, 0.0, scaled)
    scaled = select(x > HUGE, np.inf, scaled)
    return select(x == x, scaled, x)


VECTOR = ir.VectorType(ir.DoubleType(), TILE)
FLAGS = ("reassoc", "contract", "nsz")


def over_entries(visit):
    """An intrinsic that walks entries lo ... hi of a row with one tile held in a vector register.

    Plain loops over a tile go through memory at every entry, because the compiler cannot know that the tile and the
    panel do not overlap; that costs a factor of two to three. ``visit(builder, weight pointer of the entry, panel row,
    tile pointer)`` is the body; the tile is read from and written back to an array of TILE numbers.
    """

    @intrinsic
    def walk(typingctx, lo, hi, word, weight, panel, tile):
        def codegen(context, builder, signature, args):
            def data(k):
                return context.make_array(signature.args[k])(context, builder, args[k]).data

            words, weights, rows, outside = (data(k) for k in (2, 3, 4, 5))
            vector = VECTOR.as_pointer()
            outside = builder.bitcast(outside, vector)
            held = cgutils.alloca_once(builder, VECTOR)
            builder.store(builder.load(outside, align=8), held)
            with cgutils.for_range_slice(builder, args[0], args[1], ir.Constant(ir.IntType(64), 1), ir.IntType(64)) as (
                e,
                _,
            ):
                index = builder.load(builder.gep(words, [e]))
                row = builder.gep(rows, [builder.mul(index, ir.Constant(index.type, TILE))])
                visit(builder, builder.gep(weights, [e]), builder.bitcast(row, vector), held)
            builder.store(builder.load(held), outside, align=8)
            return context.get_dummy_value()

        return types.void(lo, hi, word, weight, panel, tile), codegen

    return walk


def splat(builder, scalar):
    """A vector of one scalar."""
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), TILE), [0] * TILE)
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), mask)


def multiply_add(builder, weight, vector, total):
    product = builder.fmul(splat(builder, builder.load(weight)), vector, flags=FLAGS)
    return builder.fadd(total, product, flags=FLAGS)


def visit_gather(builder, weight, row, tile):
    builder.store(multiply_add(builder, weight, builder.load(row, align=8), builder.load(tile)), tile)


def visit_scatter(builder, weight, row, tile):
    builder.store(multiply_add(builder, weight, builder.load(tile), builder.load(row, align=8)), row, align=8)


def visit_dot(builder, weight, row, tile):
    product = builder.fmul(builder.load(tile), builder.load(row, align=8), flags=FLAGS)
    reduce = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.DoubleType(), [ir.DoubleType(), VECTOR]),
        f"llvm.vector.reduce.fadd.v{TILE}f64",
    )
    total = builder.call(reduce, [ir.Constant(ir.DoubleType(), -0.0), product], fastmath=FLAGS)
    builder.store(builder.fadd(builder.load(weight), total, flags=FLAGS), weight)


gather_entries = over_entries(visit_gather)
scatter_entries = over_entries(visit_scatter)
dot_entries = over_entries(visit_dot)


@njit(error_model="numpy", fastmath=FAST)
def pack(dense, lo, panel):
    """Copy columns lo ... lo + TILE of a matrix into a panel; columns beyond its end are 0."""
    width = min(TILE, dense.shape[1] - lo)
    for row in range(dense.shape[0]):
        for t in range(width):
            panel[row, t] = dense[row, lo + t]
        for t in range(width, TILE):
            panel[row, t] = 0.0


@intrinsic
def multiply_rows(typingctx, left, right, target, lo, hi):
    """Rows lo ... hi of target = left right, by one call of BLAS; the target is in C order."""

    def codegen(context, builder, signature, args):
        kinds = signature.args[:3]
        arrays = [context.make_array(kind)(context, builder, one) for kind, one in zip(kinds, args, strict=False)]
        left, right, target = arrays
        (_, depth), (_, columns) = (cgutils.unpack_tuple(builder, one.shape, 2) for one in (left, right))
        byte, word = ir.IntType(8), ir.IntType(64)
        numbers = [cgutils.alloca_once_value(builder, ir.Constant(ir.DoubleType(), x)) for x in (1.0, 0.0)]

        def operand(kind, array, first):
            """Whether BLAS, which counts by columns, is to turn it; where it begins; how long its lines are."""
            shape = cgutils.unpack_tuple(builder, array.shape, 2)
            line = shape[1] if kind.layout == "C" else shape[0]
            begins = builder.gep(array.data, [builder.mul(first, line) if kind.layout == "C" else first])
            turned = byte(ord("n" if kind.layout == "C" else "t"))
            return turned, builder.bitcast(begins, byte.as_pointer()), line

        rows = builder.sub(args[4], args[3])
        turn_right, right_at, right_line = operand(kinds[1], right, word(0))
        turn_left, left_at, left_line = operand(kinds[0], left, args[3])
        _, target_at, target_line = operand(kinds[2], target, args[3])
        one, nothing = (builder.bitcast(number, byte.as_pointer()) for number in numbers)
        given = [byte(ord("d")), turn_right, turn_left, columns, rows, depth, one, right_at, right_line, left_at]
        given += [left_line, nothing, target_at, target_line]
        kind = ir.FunctionType(ir.IntType(32), [value.type for value in given])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "numba_xxgemm"), given)
        return context.get_dummy_value()

    ensure_blas()
    return types.void(left, right, target, lo, hi), codegen


OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": FAST}


@njit(**OPTIONS)
def edge(chunk, chunks, extent):
    """Where a chunk of a loop begins: at a whole line of cache, if there are enough of them."""
    if chunk == chunks or extent < LINE * chunks:
        return chunk * extent // chunks
    return chunk * extent // (chunks * LINE) * LINE


@njit(**OPTIONS)
def column_edge(chunk, chunks, extent):
    """Where a chunk of the columns of matrices begins, which is walked row by row.

    Narrow ones take a line of cache or two of each row, which two threads then want at one time: there are fewer of
    them, a half or a quarter, and the others between them are empty.
    """
    pieces = chunks
    while pieces > 2 and extent < WIDE * pieces:
        pieces //= 2
    return edge((chunk * pieces + chunks - 1) // chunks, pieces, extent)


@njit(**OPTIONS)
def blocks_of(rows):
    """How many blocks the rows of a large product are shared out in: as many for each of two threads, or of four."""
    return min(16, max(4, 4 * ((rows + 2 * BLOCK_ROWS) // (4 * BLOCK_ROWS))))


@njit(**OPTIONS)
def first_row(block, blocks, rows):
    """Where a block of rows begins: blocks are alike but for the last rows."""
    if block == blocks:
        return rows
    return (2 * rows * block + blocks * ROWS_TOGETHER) // (2 * blocks * ROWS_TOGETHER) * ROWS_TOGETHER


@njit(**OPTIONS)
def multiply_block(block, blocks, left, right, target):
    rows = target.shape[0]
    multiply_rows(left, right, target, first_row(block, blocks, rows), first_row(block + 1, blocks, rows))  # type: ignore[call-arg]


@njit(**OPTIONS)
def gather_panels(chunk, start, word, weight, dense, result, panels, tiles):
    panel, tile = panels[chunk], tiles[chunk]
    for lo in range(chunk * TILE, dense.shape[1], PANELS * TILE):
        pack(dense, lo, panel)
        width = min(TILE, dense.shape[1] - lo)
        for o in range(result.shape[0]):
            tile[:] = 0.0
            gather_entries(start[o], start[o + 1], word, weight, panel, tile)
            for t in range(width):
                result[o, lo + t] = tile[t]


@njit(**OPTIONS)
def scatter_panels(chunk, start, word, weight, dense, result, panels, tiles):
    panel, tile = panels[chunk], tiles[chunk]
    for lo in range(chunk * TILE, dense.shape[1], PANELS * TILE):
        width = min(TILE, dense.shape[1] - lo)
        panel[:, :] = 0.0
        for o in range(dense.shape[0]):
            for t in range(width):
                tile[t] = dense[o, lo + t]
            scatter_entries(start[o], start[o + 1], word, weight, panel, tile)
        for row in range(result.shape[0]):
            for t in range(width):
                result[row, lo + t] = panel[row, t]


@njit(**OPTIONS)
def dot_panels(chunk, start, word, left, dense, panels, tiles, partials):
    panel, tile, partial = panels[chunk], tiles[chunk], partials[chunk]
    partial[:] = 0.0
    for lo in range(chunk * TILE, dense.shape[1], PANELS * TILE):
        pack(dense, lo, panel)
        width = min(TILE, dense.shape[1] - lo)
        tile[:] = 0.0  # what lies beyond the last column must not meet the panel's zeros as inf or NaN
        for o in range(left.shape[0]):
            for t in range(width):
                tile[t] = left[o, lo + t]
            dot_entries(start[o], start[o + 1], word, partial, panel, tile)


@njit(**OPTIONS)
def add_partials(chunk, result, partials):
    for e in range(chunk * result.size // PANELS, (chunk + 1) * result.size // PANELS):
        total = 0.0
        for k in range(PANELS):
            total += partials[k, e]
        result[e] = total


@njit(**OPTIONS)
def add_flat_parts(chunk, flat, result):
    for k in range(chunk * result.size // PANELS, (chunk + 1) * result.size // PANELS):
        for piece in range(flat.shape[0]):
            result[k] += flat[piece, k]


each_gather, each_scatter, each_dot = map(in_turns, (gather_panels, scatter_panels, dot_panels))
each_block = in_turns(multiply_block)
each_total, each_sum = map(in_turns, (add_partials, add_flat_parts))


@kept(**OPTIONS)
def dense_product(left, right, target):
    """target = left right: a large one in blocks of its rows, which do not depend on the number of threads."""
    rows, columns = target.shape
    if left.shape[1] == 0:
        target[:] = 0.0
    elif rows < SHARED_ROWS or rows * columns * left.shape[1] < SHARED_PRODUCTS:
        multiply_rows(left, right, target, 0, rows)  # type: ignore[call-arg]
    else:
        # BLAS is looked up by the thread that has the interpreter's lock.
        multiply_rows(left, right, target, 0, 0)  # type: ignore[call-arg]
        blocks = blocks_of(rows)
        each_block(blocks, (blocks, left, right, target))


@kept(**OPTIONS)
def gather_product(start, word, weight, dense, result, panels, tiles):
    """result[o, v] = sum over entries e of row o of weight[e] dense[word[e], v]."""
    each_gather(PANELS, (start, word, weight, dense, result, panels, tiles))


@kept(**OPTIONS)
def scatter_product(start, word, weight, dense, result, panels, tiles):
    """result[word[e], v] = sum over entries e, each in row o(e), of weight[e] dense[o(e), v]."""
    each_scatter(PANELS, (start, word, weight, dense, result, panels, tiles))


@kept(**OPTIONS)
def gather_dot_product(start, word, left, dense, result, panels, tiles, partials):
    """result[e] = sum over v of left[o(e), v] dense[word[e], v]."""
    each_dot(PANELS, (start, word, left, dense, panels, tiles, partials))
    each_total(PANELS, (result, partials))


@kept(**OPTIONS)
def add_parts(parts, whole):
    """whole += the sum of parts over their first index, in order."""
    each_sum(PANELS, (parts.reshape((parts.shape[0], whole.size)), whole.reshape(whole.size)))
