// The entry into a circuit's generated code, which evaluates its constraint polynomial at LANES
// points. RUNNER_CIRCUIT is the circuit's name.

#include "field.h"

#define PASTE4(a, b, c, d) a##b##c##d
#define NAME(a, b, c, d) PASTE4(a, b, c, d)

namespace RUNNER_ISA::RUNNER_CIRCUIT {

FpExt poly_fp(size_t cycle, size_t steps, const Mix* poly_mix, Fp** args);

} // namespace RUNNER_ISA::RUNNER_CIRCUIT

using namespace RUNNER_ISA;

constexpr size_t MAX_ARGS = 8;

// Evaluates the points `cycle` to `cycle + LANES - 1` of a domain of `steps` points. None of their
// taps may wrap around.
//
// There are `count` arguments. One for which `globals` has 0 is columns of `steps` numbers each. The
// others have as many numbers as `globals` says, which are the same for all points. `result` takes
// four numbers a point: first the first part of every point, then the second part of every point, and
// so on. `scratch` has space for a vector for each global number and is aligned to a vector.
extern "C" void NAME(runner_eval_, RUNNER_CIRCUIT, _, RUNNER_ISA)(size_t cycle,
                                                                  size_t steps,
                                                                  const Mix* poly_mix,
                                                                  uint32_t* const* args,
                                                                  const size_t* globals,
                                                                  size_t count,
                                                                  void* scratch,
                                                                  uint32_t* result) {
  Fp* lanes = static_cast<Fp*>(scratch);
  Fp* columns[MAX_ARGS];
  for (size_t i = 0; i < count; i++) {
    columns[i] = globals[i] == 0 ? reinterpret_cast<Fp*>(args[i]) : lanes;
    for (size_t j = 0; j < globals[i]; j++) {
      (lanes++)->v = splat(args[i][j]);
    }
  }
  FpExt point = RUNNER_CIRCUIT::poly_fp(cycle, steps, poly_mix, columns);
  for (int i = 0; i < 4; i++) {
    store(result + i * LANES, point.e[i]);
  }
}
