// Number-theoretic transforms of one column, its order by reversed bits, and its shift.
//
// A transform works on halves first or last, so that all levels but the largest find their numbers
// in the cache. Two levels are done at a time where the numbers leave it.

#include "transpose.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace RUNNER_ISA {

// The powers of the roots of unity, by level. Level k has 2^(k-1) of them, from 1 on.
using Roots = const uint32_t* const*;

// A block of this many numbers, as a power of two, stays in the first cache.
constexpr size_t BLOCK_PO2 = 12;

// -- levels within a vector ----------------------------------------------------------------------

// For the lanes of the second half of each butterfly its power of the root, and 1 for the others.
template <size_t half> static INLINE Vec pattern(Roots roots, size_t level) {
  alignas(64) uint32_t lanes[LANES];
  for (size_t i = 0; i < LANES; i++) {
    lanes[i] = i & half ? roots[level][i % half] : roots[1][0];
  }
  return load(lanes);
}

// (a, b) becomes (a + b, a - b).
template <size_t half> static INLINE Vec sum_and_difference(Vec v) {
  Vec other = exchanged<half>(v);
  // In the second half, the sum is of a and -b. P - b may be P, which `add` reduces.
  return add(other, blended<half>(v, sub32(splat(P), v)));
}

template <size_t half> static INLINE Vec forward_within(Vec v, Vec powers) {
  return sum_and_difference<half>(mul(v, powers));
}

template <size_t half> static INLINE Vec reverse_within(Vec v, Vec powers) {
  return mul(sum_and_difference<half>(v), powers);
}

// -- levels between vectors ----------------------------------------------------------------------

static INLINE void forward_level(uint32_t* io, size_t half, const uint32_t* powers) {
  for (size_t i = 0; i < half; i += LANES) {
    Vec a = load(io + i), b = mul(load(io + half + i), load(powers + i));
    store(io + i, add(a, b));
    store(io + half + i, sub(a, b));
  }
}

// The level of `half` and the one after it, whose halves are twice as long.
static INLINE void
forward_levels(uint32_t* io, size_t half, const uint32_t* powers, const uint32_t* next_powers) {
  for (size_t i = 0; i < half; i += LANES) {
    uint32_t* at = io + i;
    Vec w = load(powers + i), w0 = load(next_powers + i), w1 = load(next_powers + half + i);
    Vec a0 = load(at), a1 = mul(load(at + half), w);
    Vec a2 = load(at + 2 * half), a3 = mul(load(at + 3 * half), w);
    Vec b0 = add(a0, a1), b1 = sub(a0, a1);
    Vec b2 = mul(add(a2, a3), w0), b3 = mul(sub(a2, a3), w1);
    store(at, add(b0, b2));
    store(at + half, add(b1, b3));
    store(at + 2 * half, sub(b0, b2));
    store(at + 3 * half, sub(b1, b3));
  }
}

static INLINE void reverse_level(uint32_t* io, size_t half, const uint32_t* powers) {
  for (size_t i = 0; i < half; i += LANES) {
    Vec a = load(io + i), b = load(io + half + i);
    store(io + i, add(a, b));
    store(io + half + i, mul(sub(a, b), load(powers + i)));
  }
}

static INLINE void
reverse_levels(uint32_t* io, size_t half, const uint32_t* powers, const uint32_t* next_powers) {
  for (size_t i = 0; i < half; i += LANES) {
    uint32_t* at = io + i;
    Vec w = load(powers + i), w0 = load(next_powers + i), w1 = load(next_powers + half + i);
    Vec b0 = load(at), b1 = load(at + half), b2 = load(at + 2 * half), b3 = load(at + 3 * half);
    Vec a0 = add(b0, b2), a2 = mul(sub(b0, b2), w0);
    Vec a1 = add(b1, b3), a3 = mul(sub(b1, b3), w1);
    store(at, add(a0, a1));
    store(at + half, mul(sub(a0, a1), w));
    store(at + 2 * half, add(a2, a3));
    store(at + 3 * half, mul(sub(a2, a3), w));
  }
}

// -- transforms ----------------------------------------------------------------------------------

// All levels of a block of 2^po2 numbers but those within vectors, from the smallest on.
static void forward(uint32_t* io, size_t po2, Roots roots) {
  if (po2 > BLOCK_PO2 + 1) {
    size_t quarter = size_t(1) << (po2 - 2);
    for (size_t i = 0; i < 4; i++) {
      forward(io + i * quarter, po2 - 2, roots);
    }
    forward_levels(io, quarter, roots[po2 - 1], roots[po2]);
    return;
  }
  size_t size = size_t(1) << po2, level = LOG_LANES + 1;
  if ((po2 - LOG_LANES) % 2 == 1) {
    for (size_t i = 0; i < size; i += size_t(1) << level) {
      forward_level(io + i, LANES, roots[level]);
    }
    level++;
  }
  for (; level < po2; level += 2) {
    for (size_t i = 0; i < size; i += size_t(2) << level) {
      forward_levels(io + i, size_t(1) << (level - 1), roots[level], roots[level + 1]);
    }
  }
}

static void reverse(uint32_t* io, size_t po2, Roots roots) {
  if (po2 > BLOCK_PO2 + 1) {
    size_t quarter = size_t(1) << (po2 - 2);
    reverse_levels(io, quarter, roots[po2 - 1], roots[po2]);
    for (size_t i = 0; i < 4; i++) {
      reverse(io + i * quarter, po2 - 2, roots);
    }
    return;
  }
  size_t size = size_t(1) << po2, level = po2;
  for (; level > LOG_LANES + 1; level -= 2) {
    for (size_t i = 0; i < size; i += size_t(1) << level) {
      reverse_levels(io + i, size_t(1) << (level - 2), roots[level - 1], roots[level]);
    }
  }
  if (level > LOG_LANES) {
    for (size_t i = 0; i < size; i += size_t(1) << level) {
      reverse_level(io + i, LANES, roots[level]);
    }
  }
}

static INLINE uint32_t reversed(uint32_t x, size_t bits) {
  uint32_t result = 0;
  for (size_t i = 0; i < bits; i++) {
    result |= ((x >> i) & 1) << (bits - 1 - i);
  }
  return result;
}

} // namespace RUNNER_ISA

using namespace RUNNER_ISA;

// Evaluates a polynomial of 2^po2 coefficients, whose order is by reversed bits, at four times as
// many points. The coefficients come first in `in`; `out` takes the values.
extern "C" void
PASTE(runner_evaluate_, RUNNER_ISA)(uint32_t* out, const uint32_t* in, size_t po2, Roots roots) {
  Vec w3 = pattern<4>(roots, 3);
#if defined(__AVX512F__)
  Vec w4 = pattern<8>(roots, 4);
#endif
  size_t size = size_t(4) << po2;
  for (size_t i = 0; i < size; i += LANES) {
    // With three of four coefficients zero, the first two levels only repeat the other.
    Vec v = forward_within<4>(load_fourfold(in + i / 4), w3);
#if defined(__AVX512F__)
    v = forward_within<8>(v, w4);
#endif
    store(out + i, v);
  }
  forward(out, po2 + 2, roots);
}

// Finds the 2^po2 coefficients, in the order of reversed bits, from values. `roots` are the inverse
// ones, and `norm` is the inverse of 2^po2.
extern "C" void
PASTE(runner_interpolate_, RUNNER_ISA)(uint32_t* io, size_t po2, uint32_t norm, Roots roots) {
  reverse(io, po2, roots);
#if defined(__AVX512F__)
  Vec w4 = pattern<8>(roots, 4);
#endif
  Vec w3 = pattern<4>(roots, 3), w2 = pattern<2>(roots, 2);
  size_t size = size_t(1) << po2;
  for (size_t i = 0; i < size; i += LANES) {
    Vec v = load(io + i);
#if defined(__AVX512F__)
    v = reverse_within<8>(v, w4);
#endif
    v = reverse_within<2>(reverse_within<4>(v, w3), w2);
    store(io + i, mul(sum_and_difference<1>(v), norm));
  }
}

// Puts 2^po2 numbers, at least LANES^2, into the order of their reversed bits.
extern "C" void PASTE(runner_reverse_bits_, RUNNER_ISA)(uint32_t* io, size_t po2) {
  // A place has LOG_LANES high bits, middle ones and LOG_LANES low bits.
  size_t middle_bits = po2 - 2 * LOG_LANES, row = size_t(1) << (po2 - LOG_LANES);
  uint32_t order[LANES];
  for (size_t i = 0; i < LANES; i++) {
    order[i] = reversed(i, LOG_LANES);
  }
  for (size_t middle = 0; middle < size_t(1) << middle_bits; middle++) {
    size_t other = reversed(middle, middle_bits);
    if (other < middle) {
      continue;
    }
    uint32_t *here = io + middle * LANES, *there = io + other * LANES;
    Vec a[LANES], b[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
      a[i] = load(here + order[i] * row);
    }
    transpose(a);
    if (other != middle) {
#pragma GCC unroll 16
      for (size_t i = 0; i < LANES; i++) {
        b[i] = load(there + order[i] * row);
      }
      transpose(b);
#pragma GCC unroll 16
      for (size_t i = 0; i < LANES; i++) {
        store(here + order[i] * row, b[i]);
      }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
      store(there + order[i] * row, a[i]);
    }
  }
}

// Multiplies each of `count` numbers, a multiple of LANES, by its factor.
extern "C" void
PASTE(runner_multiply_, RUNNER_ISA)(uint32_t* io, const uint32_t* factors, size_t count) {
  for (size_t i = 0; i < count; i += LANES) {
    store(io + i, mul(load(io + i), load(factors + i)));
  }
}
