// Poseidon2 over BabyBear, LANES permutations at a time.
//
// The constants come from the library, so that they have one source. A permutation of 24 numbers
// fits the registers of AVX-512.

#include "field.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace RUNNER_ISA {

constexpr size_t CELLS = 24, RATE = 16, OUT = 8, HALF_FULL = 4, PARTIAL = 21;

// How many S-boxes the registers hold at a time.
constexpr size_t TOGETHER = LANES / 4;

// What `vectors/src/poseidon2.rs` makes of the library's constants.
struct Constants {
  uint32_t full[2 * HALF_FULL][CELLS]; // less P, so from -P to -1
  uint32_t partial[PARTIAL];           // less P as well
  uint32_t diagonal[CELLS];
  uint32_t diagonal_mu[CELLS]; // times MU modulo 2^32
};

// Factors of a signed product: the numbers stand in the low halves of 64 bit lanes.
struct Split {
  Vec even, odd;
};

static INLINE Split split(Vec a) { return Split{a, odd(a)}; }

// Montgomery's reduction leaves its result, from -P to P, in the high halves.
static INLINE Split product(Split a, Split b) {
  Vec even = mul_even_signed(a.even, b.even), odd_ = mul_even_signed(a.odd, b.odd);
  Vec q_even = mul_even(even, mu()), q_odd = mul_even(odd_, mu());
  return Split{sub64(even, mul_even_signed(q_even, splat(P))),
               sub64(odd_, mul_even_signed(q_odd, splat(P)))};
}

static INLINE Split low(Split a) { return Split{odd(a.even), odd(a.odd)}; }

// A number from -P to P becomes one from 0 to P - 1.
static INLINE Vec canonical(Vec a) { return least(a, add32(a, splat(P))); }

// (x + constant)^7 of several numbers, where P has been taken from the constants. The numbers take
// their steps together, because one has to wait for each step before it goes on.
template <size_t count> static INLINE void sboxes(Vec* x, const uint32_t* constants) {
  Split x1[count], x2[count], x3[count];
#pragma GCC unroll 8
  for (size_t i = 0; i < count; i++) {
    x1[i] = split(add32(x[i], splat(constants[i])));
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < count; i++) {
    x2[i] = low(product(x1[i], x1[i]));
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < count; i++) {
    x3[i] = low(product(x2[i], x1[i]));
    x2[i] = low(product(x2[i], x2[i]));
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < count; i++) {
    Split x7 = product(x3[i], x2[i]);
    x[i] = canonical(highs(x7.even, x7.odd));
  }
}

// The product of a number below 2 P with a constant, of which MU times the constant is known too.
static INLINE Vec scaled(Vec x, uint32_t constant, uint32_t constant_mu) {
  Vec c = splat(constant), q = mul_low(x, splat(constant_mu));
  Vec even = sub64(mul_even(x, c), mul_even(q, splat(P)));
  Vec odd_ = sub64(mul_even(odd(x), c), mul_even(odd(q), splat(P)));
  return canonical(highs(even, odd_));
}

// The Poseidon2 paper's appendix B: the external matrix.
static INLINE void external(Vec s[CELLS]) {
  Vec sums[4];
#pragma GCC unroll 6
  for (size_t i = 0; i < CELLS; i += 4) {
    Vec t0 = add(s[i], s[i + 1]), t1 = add(s[i + 2], s[i + 3]);
    Vec t2 = add(add(s[i + 1], s[i + 1]), t1), t3 = add(add(s[i + 3], s[i + 3]), t0);
    Vec t1x2 = add(t1, t1), t0x2 = add(t0, t0);
    Vec t4 = add(add(t1x2, t1x2), t3), t5 = add(add(t0x2, t0x2), t2);
    s[i] = add(t3, t5), s[i + 1] = t5, s[i + 2] = add(t2, t4), s[i + 3] = t4;
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
      sums[j] = i == 0 ? s[j] : add(sums[j], s[i + j]);
    }
  }
#pragma GCC unroll 24
  for (size_t i = 0; i < CELLS; i++) {
    s[i] = add(s[i], sums[i % 4]);
  }
}

static INLINE void full_round(Vec s[CELLS], const uint32_t constants[CELLS]) {
#pragma GCC unroll 24
  for (size_t i = 0; i < CELLS; i += TOGETHER) {
    sboxes<TOGETHER>(s + i, constants + i);
  }
  external(s);
}

// The numbers of the cells but the first may be up to 2 P, before and after.
//
// `others` is the sum of those cells. It is found from the products of the round before, which are
// known long before the cells: a cell is its product and `sum`.
static INLINE void
partial_round(Vec s[CELLS], Vec* others, const Constants& constants, size_t round) {
  sboxes<1>(s, constants.partial + round);
  Vec sum = add(*others, s[0]);
  Vec products[CELLS], sums[3];
#pragma GCC unroll 24
  for (size_t i = 0; i < CELLS; i++) {
    products[i] = scaled(s[i], constants.diagonal[i], constants.diagonal_mu[i]);
    if (i > 0) {
      sums[i % 3] = i < 4 ? products[i] : add(sums[i % 3], products[i]);
    }
  }
  *others = add(add(add(sums[0], sums[1]), sums[2]), mul(sum, Const(CELLS - 1).raw));
  s[0] = add(products[0], sum);
#pragma GCC unroll 24
  for (size_t i = 1; i < CELLS; i++) {
    s[i] = add32(products[i], sum);
  }
}

static INLINE Vec sum_of_others(const Vec s[CELLS]) {
  Vec sum = s[1];
#pragma GCC unroll 24
  for (size_t i = 2; i < CELLS; i++) {
    sum = add(sum, s[i]);
  }
  return sum;
}

SHARED void permute(Vec state[CELLS], const Constants& constants) {
  Vec s[CELLS];
#pragma GCC unroll 24
  for (size_t i = 0; i < CELLS; i++) {
    s[i] = state[i];
  }
  external(s);
  for (size_t round = 0; round < HALF_FULL; round++) {
    full_round(s, constants.full[round]);
  }
  Vec others = sum_of_others(s);
  for (size_t round = 0; round < PARTIAL; round++) {
    partial_round(s, &others, constants, round);
  }
#pragma GCC unroll 24
  for (size_t i = 1; i < CELLS; i++) {
    s[i] = least(s[i], sub32(s[i], splat(P)));
  }
  for (size_t round = HALF_FULL; round < 2 * HALF_FULL; round++) {
    full_round(s, constants.full[round]);
  }
#pragma GCC unroll 24
  for (size_t i = 0; i < CELLS; i++) {
    state[i] = s[i];
  }
}

static INLINE void clear(Vec state[CELLS]) {
  for (size_t i = 0; i < CELLS; i++) {
    state[i] = splat(0);
  }
}

// LANES digests of 8 words each, one after the other.
static INLINE void squeeze(const Vec state[CELLS], uint32_t* digests) {
  alignas(64) uint32_t words[OUT][LANES];
  for (size_t i = 0; i < OUT; i++) {
    store(words[i], state[i]);
  }
  for (size_t lane = 0; lane < LANES; lane++) {
    for (size_t i = 0; i < OUT; i++) {
      digests[lane * OUT + i] = words[i][lane];
    }
  }
}

} // namespace RUNNER_ISA

using namespace RUNNER_ISA;

// Hashes `rows` neighbouring rows of a matrix, a multiple of LANES. The matrix has `columns`
// columns, which are `stride` numbers apart. `digests` takes 8 words for each row.
extern "C" void PASTE(runner_hash_rows_, RUNNER_ISA)(const Constants* constants,
                                                     const uint32_t* matrix,
                                                     size_t columns,
                                                     size_t stride,
                                                     size_t rows,
                                                     uint32_t* digests) {
  for (size_t row = 0; row < rows; row += LANES) {
    Vec state[CELLS];
    clear(state);
    size_t column = 0;
    do {
      for (size_t i = 0; i < RATE; i++) {
        bool within = column + i < columns;
        state[i] = within ? load(matrix + (column + i) * stride + row) : splat(0);
      }
      column += RATE;
      // The columns are too far apart for the CPU to guess which it will need next.
      size_t next_row = column < columns ? row : row + LANES;
      size_t next = column < columns ? column : 0;
      for (size_t i = next; i < next + RATE && i < columns && next_row < rows; i++) {
        __builtin_prefetch(matrix + i * stride + next_row);
      }
      permute(state, *constants);
    } while (column < columns);
    squeeze(state, digests + row * OUT);
  }
}

// Hashes `pairs` pairs of neighbouring digests, a multiple of LANES, into one digest each.
extern "C" void PASTE(runner_hash_pairs_, RUNNER_ISA)(const Constants* constants,
                                                      const uint32_t* digests,
                                                      size_t pairs,
                                                      uint32_t* folded) {
  for (size_t pair = 0; pair < pairs; pair += LANES) {
    alignas(64) uint32_t words[RATE][LANES];
    for (size_t lane = 0; lane < LANES; lane++) {
      for (size_t i = 0; i < RATE; i++) {
        words[i][lane] = digests[(pair + lane) * RATE + i];
      }
    }
    Vec state[CELLS];
    clear(state);
    for (size_t i = 0; i < RATE; i++) {
      state[i] = load(words[i]);
    }
    permute(state, *constants);
    squeeze(state, folded + pair * OUT);
  }
}
