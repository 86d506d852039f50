// The entry into the generated code, which evaluates the constraint polynomial at LANES points.

#include "field.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace RUNNER_ISA {

FpExt poly_fp(size_t cycle, size_t steps, const Mix* poly_mix, Fp** args);

} // namespace RUNNER_ISA

using namespace RUNNER_ISA;

// Evaluates the points `cycle` to `cycle + LANES - 1` of a domain of `steps` points. None of their
// taps may wrap around.
//
// `accum` and `data` are columns of `steps` numbers each. `out` has `outs` numbers and `mix` has
// `mixes`; they are the same for all points. `result` takes four numbers a point: first the first
// part of every point, then the second part of every point, and so on. `scratch` has space for
// `outs + mixes` vectors and is aligned to a vector.
extern "C" void PASTE(runner_eval_, RUNNER_ISA)(size_t cycle,
                                                size_t steps,
                                                const Mix* poly_mix,
                                                uint32_t* accum,
                                                uint32_t* data,
                                                const uint32_t* out,
                                                size_t outs,
                                                const uint32_t* mix,
                                                size_t mixes,
                                                void* scratch,
                                                uint32_t* result) {
  Fp* out_lanes = static_cast<Fp*>(scratch);
  Fp* mix_lanes = out_lanes + outs;
  for (size_t i = 0; i < outs; i++) {
    out_lanes[i].v = splat(out[i]);
  }
  for (size_t i = 0; i < mixes; i++) {
    mix_lanes[i].v = splat(mix[i]);
  }
  Fp* args[] = {
      reinterpret_cast<Fp*>(accum), reinterpret_cast<Fp*>(data), out_lanes, mix_lanes};
  FpExt point = poly_fp(cycle, steps, poly_mix, args);
  for (int i = 0; i < 4; i++) {
    store(result + i * LANES, point.e[i]);
  }
}
