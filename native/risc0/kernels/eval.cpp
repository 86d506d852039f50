// The way into the generated code: LANES points of the constraint polynomial.

#include "field.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace RUNNER_ISA {

FpExt poly_fp(size_t cycle, size_t steps, const Mix* poly_mix, Fp** args);

} // namespace RUNNER_ISA

using namespace RUNNER_ISA;

// The points `cycle` to `cycle + LANES - 1` of a domain of `steps`, none of whose taps wraps around.
//
// `accum` and `data` are columns of `steps` numbers; `out` (`outs` numbers) and `mix` (`mixes`) are
// the same for all points. `result` takes four numbers a point, the points' first, second, ... parts
// side by side. `room` has space for outs + mixes vectors and is aligned to one.
extern "C" void PASTE(runner_eval_, RUNNER_ISA)(size_t cycle,
                                                size_t steps,
                                                const Mix* poly_mix,
                                                uint32_t* accum,
                                                uint32_t* data,
                                                const uint32_t* out,
                                                size_t outs,
                                                const uint32_t* mix,
                                                size_t mixes,
                                                void* room,
                                                uint32_t* result) {
  Fp* out_lanes = static_cast<Fp*>(room);
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
