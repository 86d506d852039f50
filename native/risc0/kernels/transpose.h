// Squares of LANES x LANES numbers, turned over their diagonal, and vectors with lanes exchanged.
#pragma once

#include "field.h"

namespace RUNNER_ISA {

#if defined(__AVX512F__)
constexpr size_t LOG_LANES = 4;

// Lane i gets what lane `i ^ distance` had.
template <size_t distance> static INLINE Vec exchanged(Vec v) {
  if (distance == 8) {
    return _mm512_shuffle_i32x4(v, v, 0x4E);
  }
  if (distance == 4) {
    return _mm512_shuffle_i32x4(v, v, 0xB1);
  }
  return _mm512_shuffle_epi32(v, _MM_PERM_ENUM(distance == 2 ? 0x4E : 0xB1));
}

// Lanes i where `i & distance` is not 0 come from `b`, the others from `a`.
template <size_t distance> static INLINE Vec blended(Vec a, Vec b) {
  constexpr __mmask16 mask = distance == 8   ? 0xFF00
                             : distance == 4 ? 0xF0F0
                             : distance == 2 ? 0xCCCC
                                             : 0xAAAA;
  return _mm512_mask_mov_epi32(a, mask, b);
}

// Each of the first LANES / 4 numbers four times.
static INLINE Vec load_fourfold(const uint32_t* p) {
  Vec four = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  Vec which = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_epi32(which, four);
}

static INLINE void transpose(Vec v[LANES]) {
  Vec t[LANES];
#pragma GCC unroll 8
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // v[4 r + c] has, in its 128 bit parts p, rows 4 r to 4 r + 3 of column 4 p + c.
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; c++) {
    Vec low01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x44);
    Vec high01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xEE);
    Vec low23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x44);
    Vec high23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xEE);
    t[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
    t[8 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i++) {
    v[i] = t[i];
  }
}
#else
constexpr size_t LOG_LANES = 3;

template <size_t distance> static INLINE Vec exchanged(Vec v) {
  if (distance == 4) {
    return _mm256_permute2x128_si256(v, v, 1);
  }
  return _mm256_shuffle_epi32(v, distance == 2 ? 0x4E : 0xB1);
}

template <size_t distance> static INLINE Vec blended(Vec a, Vec b) {
  return _mm256_blend_epi32(a, b, distance == 4 ? 0xF0 : distance == 2 ? 0xCC : 0xAA);
}

static INLINE Vec load_fourfold(const uint32_t* p) {
  __m128i two = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  Vec which = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(two), which);
}

static INLINE void transpose(Vec v[LANES]) {
  Vec t[LANES];
#pragma GCC unroll 4
  for (size_t i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
#pragma GCC unroll 2
  for (size_t i = 0; i < 8; i += 4) {
    v[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; c++) {
    t[c] = _mm256_permute2x128_si256(v[c], v[4 + c], 0x20);
    t[4 + c] = _mm256_permute2x128_si256(v[c], v[4 + c], 0x31);
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; i++) {
    v[i] = t[i];
  }
}
#endif

} // namespace RUNNER_ISA
