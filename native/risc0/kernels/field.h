// The BabyBear field and its extension of degree four, LANES elements at a time.
//
// This header has, for vectors, what RISC Zero's generated constraint code asks of `Fp` and
// `FpExt`. Compiled with it instead of the library's, a function that evaluates one point of the
// domain evaluates LANES neighbouring points. Elements are in Montgomery form and always below P,
// as they are everywhere in the library, so every result is the same bit for bit.
//
// RUNNER_ISA is the namespace: the library has one copy of the code for each instruction set, and
// the copies do not see each other. Only headers of inline intrinsics may be included here, because
// a shared inline function that was compiled for AVX-512 could be the copy that the linker keeps
// for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#define INLINE inline __attribute__((always_inline))
// The generated code calls these functions thousands of times. If they were inlined, it would take
// ten minutes to compile instead of half a minute, and it would be slower because it would fit no
// cache.
#define SHARED static inline __attribute__((noinline))

namespace RUNNER_ISA {

constexpr uint32_t P = 15 * (uint32_t(1) << 27) + 1;
constexpr uint32_t MU = 0x88000001; // 1 / P modulo 2^32
constexpr uint32_t R2 = 1172168163; // 2^64 modulo P

// -- vectors of 32 bit integers ------------------------------------------------------------------

#if defined(__AVX512F__)
constexpr size_t LANES = 16;
using Vec = __m512i;
static INLINE Vec splat(uint32_t x) { return _mm512_set1_epi32(int(x)); }
static INLINE Vec load(const uint32_t* p) { return _mm512_loadu_si512(p); }
static INLINE void store(uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
static INLINE Vec add32(Vec a, Vec b) { return _mm512_add_epi32(a, b); }
static INLINE Vec sub32(Vec a, Vec b) { return _mm512_sub_epi32(a, b); }
static INLINE Vec add64(Vec a, Vec b) { return _mm512_add_epi64(a, b); }
static INLINE Vec sub64(Vec a, Vec b) { return _mm512_sub_epi64(a, b); }
static INLINE Vec least(Vec a, Vec b) { return _mm512_min_epu32(a, b); }
// The products of the even lanes, which have 64 bits each.
static INLINE Vec mul_even(Vec a, Vec b) { return _mm512_mul_epu32(a, b); }
static INLINE Vec mul_even_signed(Vec a, Vec b) { return _mm512_mul_epi32(a, b); }
static INLINE Vec mul_low(Vec a, Vec b) { return _mm512_mullo_epi32(a, b); }
// The odd lanes, copied to where the even ones were.
static INLINE Vec odd(Vec a) {
  return _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(a)));
}
// The high halves of 64 bit lanes, interleaved.
static INLINE Vec highs(Vec of_even, Vec of_odd) {
  return _mm512_mask_shuffle_epi32(of_odd, 0x5555, of_even, _MM_PERM_ENUM(0xF5));
}
#elif defined(__AVX2__)
constexpr size_t LANES = 8;
using Vec = __m256i;
static INLINE Vec splat(uint32_t x) { return _mm256_set1_epi32(int(x)); }
static INLINE Vec load(const uint32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
static INLINE void store(uint32_t* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
static INLINE Vec add32(Vec a, Vec b) { return _mm256_add_epi32(a, b); }
static INLINE Vec sub32(Vec a, Vec b) { return _mm256_sub_epi32(a, b); }
static INLINE Vec add64(Vec a, Vec b) { return _mm256_add_epi64(a, b); }
static INLINE Vec sub64(Vec a, Vec b) { return _mm256_sub_epi64(a, b); }
static INLINE Vec least(Vec a, Vec b) { return _mm256_min_epu32(a, b); }
static INLINE Vec mul_even(Vec a, Vec b) { return _mm256_mul_epu32(a, b); }
static INLINE Vec mul_even_signed(Vec a, Vec b) { return _mm256_mul_epi32(a, b); }
static INLINE Vec mul_low(Vec a, Vec b) { return _mm256_mullo_epi32(a, b); }
static INLINE Vec odd(Vec a) {
  return _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(a)));
}
static INLINE Vec highs(Vec of_even, Vec of_odd) {
  return _mm256_blend_epi32(odd(of_even), of_odd, 0xAA);
}
#else
#error "compile with -mavx2 or -mavx512f"
#endif

// -- the field -----------------------------------------------------------------------------------

// A difference below zero is a large unsigned number, so the smaller of the two is the reduced one.
static INLINE Vec add(Vec a, Vec b) {
  Vec sum = add32(a, b);
  return least(sum, sub32(sum, splat(P)));
}

static INLINE Vec sub(Vec a, Vec b) {
  Vec difference = sub32(a, b);
  return least(difference, add32(difference, splat(P)));
}

// MU, of which the compiler does not know what it is. Clang makes shifts and sums of a product with
// it, which take twice as long.
static INLINE Vec mu() {
  Vec v = splat(MU);
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#else
  asm("" : "+x"(v));
#endif
  return v;
}

// Montgomery's reduction of products below P^2. With q = t / P modulo 2^32, the low halves of t and
// q * P are equal, and the difference of their high halves is t / 2^32 modulo P.
static INLINE Vec reduce(Vec even, Vec odd_) {
  Vec q_even = mul_even(even, mu()), q_odd = mul_even(odd_, mu());
  Vec high = highs(sub64(even, mul_even(q_even, splat(P))), sub64(odd_, mul_even(q_odd, splat(P))));
  return least(high, add32(high, splat(P)));
}

// The same reduction for sums of up to four products, whose high halves are below
// 4 P^2 / 2^32 < 2 P.
static INLINE Vec reduce_sum(Vec even, Vec odd_) {
  Vec q_even = mul_even(even, mu()), q_odd = mul_even(odd_, mu());
  Vec high = highs(even, odd_);
  Vec below_p = least(high, sub32(high, splat(P)));
  return sub(below_p, highs(mul_even(q_even, splat(P)), mul_even(q_odd, splat(P))));
}

static INLINE Vec mul(Vec a, Vec b) { return reduce(mul_even(a, b), mul_even(odd(a), odd(b))); }

static INLINE Vec mul(Vec a, uint32_t b) {
  return reduce(mul_even(a, splat(b)), mul_even(odd(a), splat(b)));
}

// -- the names that the generated code uses ------------------------------------------------------

// A number that the generated code spells out. It is the same in all lanes and in Montgomery form.
struct Const {
  uint32_t raw;
  constexpr explicit Const(uint32_t x) : raw(montgomery(x)) {}

private:
  static constexpr uint32_t montgomery(uint32_t x) {
    uint64_t product = uint64_t(x) * R2;
    uint32_t q = uint32_t(product) * MU;
    uint32_t high = uint32_t(product >> 32), low = uint32_t((uint64_t(q) * P) >> 32);
    return high < low ? high - low + P : high - low;
  }
};

struct Fp {
  Vec v;
  Fp() = default;
  INLINE explicit Fp(Vec x) : v(x) {}
  INLINE Fp(Const x) : v(splat(x.raw)) {}
};

static INLINE Fp operator+(Fp a, Fp b) { return Fp(add(a.v, b.v)); }
static INLINE Fp operator-(Fp a, Fp b) { return Fp(sub(a.v, b.v)); }
// A call of this takes less time than to fetch its instructions again for each product.
SHARED Vec product_of(Vec a, Vec b) { return mul(a, b); }

static INLINE Fp operator*(Fp a, Fp b) { return Fp(product_of(a.v, b.v)); }
static INLINE Fp operator*(Fp a, Const b) { return a * Fp(b); }
static INLINE Fp operator*(Const a, Fp b) { return b * Fp(a); }

// A power of the verifier's challenge: an element of the extension that is the same in all lanes.
struct Mix {
  uint32_t raw[4];
};

struct FpExt {
  Vec e[4];
  FpExt() = default;
  INLINE explicit FpExt(Fp x) : e{x.v, splat(0), splat(0), splat(0)} {}
  INLINE explicit FpExt(uint32_t x) : FpExt(Fp(Const(x))) {}
  INLINE FpExt(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
      : FpExt(Fp(Const(a)), Fp(Const(b)), Fp(Const(c)), Fp(Const(d))) {}
  INLINE FpExt(Fp a, Fp b, Fp c, Fp d) : e{a.v, b.v, c.v, d.v} {}
};

static INLINE FpExt operator+(const FpExt& a, const FpExt& b) {
  FpExt r;
  for (int i = 0; i < 4; i++) {
    r.e[i] = add(a.e[i], b.e[i]);
  }
  return r;
}

static INLINE FpExt operator-(const FpExt& a, const FpExt& b) {
  FpExt r;
  for (int i = 0; i < 4; i++) {
    r.e[i] = sub(a.e[i], b.e[i]);
  }
  return r;
}

static INLINE FpExt operator+(FpExt a, Fp b) {
  a.e[0] = add(a.e[0], b.v);
  return a;
}
static INLINE FpExt operator+(Fp a, const FpExt& b) { return b + a; }
static INLINE FpExt operator-(FpExt a, Fp b) {
  a.e[0] = sub(a.e[0], b.v);
  return a;
}
static INLINE FpExt operator-(Fp a, const FpExt& b) { return FpExt(a) - b; }

// The product `x * mix`, not computed yet, because it is always added to something at once.
struct Term {
  Vec x;
  const Mix* mix;
};

static INLINE Term operator*(Fp a, const Mix& b) { return Term{a.v, &b}; }
static INLINE Term operator*(Const a, const Mix& b) { return Fp(a) * b; }

SHARED void add_term(FpExt* sum, const FpExt* to, Vec x, const Mix* mix) {
  Vec x_odd = odd(x);
  for (int i = 0; i < 4; i++) {
    Vec m = splat(mix->raw[i]);
    sum->e[i] = add(to->e[i], reduce(mul_even(x, m), mul_even(x_odd, m)));
  }
}

static INLINE FpExt operator+(const FpExt& a, Term b) {
  FpExt r;
  add_term(&r, &a, b.x, b.mix);
  return r;
}

// Up to four terms at once, whose products are summed before they are reduced. `build.rs` makes
// calls of this from the generated code's sums of one term each. A term that is not there is zero.
SHARED void add_four(FpExt* sum,
                     const FpExt* to,
                     Vec a,
                     Vec b,
                     Vec c,
                     Vec d,
                     const Mix* mix_a,
                     const Mix* mix_b,
                     const Mix* mix_c,
                     const Mix* mix_d) {
  Vec x[4] = {a, b, c, d}, x_odd[4] = {odd(a), odd(b), odd(c), odd(d)};
  const Mix* mix[4] = {mix_a, mix_b, mix_c, mix_d};
  for (int i = 0; i < 4; i++) {
    Vec m = splat(mix[0]->raw[i]);
    Vec even = mul_even(x[0], m), odd_ = mul_even(x_odd[0], m);
    for (int j = 1; j < 4; j++) {
      m = splat(mix[j]->raw[i]);
      even = add64(even, mul_even(x[j], m));
      odd_ = add64(odd_, mul_even(x_odd[j], m));
    }
    sum->e[i] = add(to->e[i], reduce_sum(even, odd_));
  }
}

static INLINE FpExt
terms(const FpExt& to, Fp a, const Mix& ma, Fp b, const Mix& mb, Fp c, const Mix& mc, Fp d, const Mix& md) {
  FpExt r;
  add_four(&r, &to, a.v, b.v, c.v, d.v, &ma, &mb, &mc, &md);
  return r;
}

static INLINE FpExt
terms(const FpExt& to, Fp a, const Mix& ma, Fp b, const Mix& mb, Fp c, const Mix& mc) {
  return terms(to, a, ma, b, mb, c, mc, Fp(splat(0)), mc);
}

static INLINE FpExt terms(const FpExt& to, Fp a, const Mix& ma, Fp b, const Mix& mb) {
  Fp zero(splat(0));
  return terms(to, a, ma, b, mb, zero, mb, zero, mb);
}

static INLINE FpExt terms(const FpExt& to, Fp a, const Mix& ma) { return to + a * ma; }

SHARED void scale(FpExt* r, const FpExt* a, Vec b) {
  Vec b_odd = odd(b);
  for (int i = 0; i < 4; i++) {
    r->e[i] = reduce(mul_even(a->e[i], b), mul_even(odd(a->e[i]), b_odd));
  }
}

static INLINE FpExt operator*(const FpExt& a, Fp b) {
  FpExt r;
  scale(&r, &a, b.v);
  return r;
}
static INLINE FpExt operator*(Fp a, const FpExt& b) { return b * a; }

// The product of two polynomials modulo x^4 + 11: a coefficient of x^4 comes back multiplied by
// -11. Products are summed before they are reduced.
SHARED void multiply(FpExt* r, const FpExt* a, const FpExt* b) {
  Vec a_odd[4], b_odd[4];
  for (int i = 0; i < 4; i++) {
    a_odd[i] = odd(a->e[i]);
    b_odd[i] = odd(b->e[i]);
  }
  auto sum = [&](int first, int last, int power) __attribute__((always_inline)) {
    Vec even = mul_even(a->e[first], b->e[power - first]);
    Vec odd_ = mul_even(a_odd[first], b_odd[power - first]);
    for (int i = first + 1; i <= last; i++) {
      even = add64(even, mul_even(a->e[i], b->e[power - i]));
      odd_ = add64(odd_, mul_even(a_odd[i], b_odd[power - i]));
    }
    return reduce_sum(even, odd_);
  };
  constexpr uint32_t minus_beta = Const(P - 11).raw;
  Vec r0 = add(sum(0, 0, 0), mul(sum(1, 3, 4), minus_beta));
  Vec r1 = add(sum(0, 1, 1), mul(sum(2, 3, 5), minus_beta));
  Vec r2 = add(sum(0, 2, 2), mul(sum(3, 3, 6), minus_beta));
  Vec r3 = sum(0, 3, 3);
  r->e[0] = r0, r->e[1] = r1, r->e[2] = r2, r->e[3] = r3;
}

static INLINE FpExt operator*(const FpExt& a, const FpExt& b) {
  FpExt r;
  multiply(&r, &a, &b);
  return r;
}

static INLINE FpExt operator*(const FpExt& a, const Mix& b) {
  FpExt m;
  for (int i = 0; i < 4; i++) {
    m.e[i] = splat(b.raw[i]);
  }
  return a * m;
}

// LANES neighbouring numbers of one register's column, `back` rows before `cycle`. The caller makes
// sure that they do not wrap around.
static INLINE Fp tap(const Fp* columns, size_t column, size_t back, size_t cycle, size_t steps) {
  auto scalars = reinterpret_cast<const uint32_t*>(columns);
  return Fp(load(scalars + column * steps + ((cycle - back) & (steps - 1))));
}

} // namespace RUNNER_ISA
