// Polynomials with coefficients in the field: their values at points of the extension, and their
// sums with factors of the extension. A product is a sum's part before it is reduced.

#include "field.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace RUNNER_ISA {

// Sums of products below P^2, of which up to four fit.
struct Sums {
  Vec even[4], odd[4];
};

static INLINE void clear(Sums& sums) {
  for (int i = 0; i < 4; i++) {
    sums.even[i] = sums.odd[i] = splat(0);
  }
}

static INLINE void reduce_into(FpExt& total, const Sums& sums) {
  for (int i = 0; i < 4; i++) {
    total.e[i] = add(total.e[i], reduce_sum(sums.even[i], sums.odd[i]));
  }
}

static INLINE FpExt everywhere(const Mix& mix) {
  return FpExt(Fp(splat(mix.raw[0])), Fp(splat(mix.raw[1])), Fp(splat(mix.raw[2])),
               Fp(splat(mix.raw[3])));
}

} // namespace RUNNER_ISA

using namespace RUNNER_ISA;

// Evaluates a polynomial of `count` coefficients at a point. `powers` has the first `block` powers
// of the point: first the first part of each, then the second part of each, and so on. `step` is the
// next power. A block divides the coefficients, and four vectors divide a block.
//
// `result` takes LANES numbers for each of four parts. Their sum is the value's part.
extern "C" void PASTE(runner_evaluate_at_, RUNNER_ISA)(const uint32_t* coefficients,
                                                       size_t count,
                                                       const uint32_t* powers,
                                                       size_t block,
                                                       const Mix* step,
                                                       uint32_t* result) {
  FpExt value(0u), next = everywhere(*step);
  for (size_t end = count; end > 0; end -= block) {
    const uint32_t* at = coefficients + end - block;
    FpExt total(0u);
    for (size_t i = 0; i < block; i += 4 * LANES) {
      Sums sums;
      clear(sums);
#pragma GCC unroll 4
      for (size_t j = i; j < i + 4 * LANES; j += LANES) {
        Vec c = load(at + j), c_odd = odd(c);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
          Vec power = load(powers + k * block + j);
          sums.even[k] = add64(sums.even[k], mul_even(c, power));
          sums.odd[k] = add64(sums.odd[k], mul_even(c_odd, odd(power)));
        }
      }
      reduce_into(total, sums);
    }
    value = value * next + total;
  }
  for (int k = 0; k < 4; k++) {
    store(result + k * LANES, value.e[k]);
  }
}

// Adds polynomials, each times its factor, to one whose coefficients are in the extension.
//
// `columns` has `columns_count` pointers to the first of `count` coefficients, a multiple of LANES
// and up to 256. `out` has four numbers for each coefficient.
extern "C" void PASTE(runner_mix_, RUNNER_ISA)(uint32_t* out,
                                               size_t count,
                                               const uint32_t* const* columns,
                                               const Mix* factors,
                                               size_t columns_count) {
  alignas(64) uint32_t totals[4][256] = {};
  for (size_t column = 0; column < columns_count; column += 4) {
    size_t together = columns_count - column < 4 ? columns_count - column : 4;
    for (size_t i = 0; i < count; i += LANES) {
      Sums sums;
      clear(sums);
      for (size_t j = column; j < column + together; j++) {
        Vec c = load(columns[j] + i), c_odd = odd(c);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
          Vec factor = splat(factors[j].raw[k]);
          sums.even[k] = add64(sums.even[k], mul_even(c, factor));
          sums.odd[k] = add64(sums.odd[k], mul_even(c_odd, factor));
        }
      }
      for (int k = 0; k < 4; k++) {
        Vec total = load(totals[k] + i);
        store(totals[k] + i, add(total, reduce_sum(sums.even[k], sums.odd[k])));
      }
    }
  }
  for (size_t i = 0; i < count; i++) {
    for (int k = 0; k < 4; k++) {
      uint32_t sum = out[4 * i + k] + totals[k][i];
      out[4 * i + k] = sum < P ? sum : sum - P;
    }
  }
}
