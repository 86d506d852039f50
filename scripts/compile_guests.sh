#!/usr/bin/env bash
# Builds every guest under guests/ into guests/elfs/NAME.bin, and writes guests/manifest.json. With
# --zkvm openvm, it builds the guests in guests/openvm, which has its own elfs folder and manifest.
set -euo pipefail

readonly TARGET=riscv32im-risc0-zkvm-elf
readonly RISC0_ZKVM=3.0.6
readonly OPENVM=2.0.2
# This is the tag that risc0-build 3.0 uses. RISC0_DOCKER_CONTAINER_TAG overrides it here as there.
readonly DOCKER_IMAGE="risczero/risc0-guest-builder:${RISC0_DOCKER_CONTAINER_TAG:-r0.1.88.0}"
# The user program starts at this address. The RISC Zero tools put the stack below it.
readonly TEXT_START=0x00200800

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
guests_dir=$repo/guests
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zk-batch-runner/guests
cargo_home=${CARGO_HOME:-$HOME/.cargo}

usage() {
    cat <<'TEXT'
Usage: scripts/compile_guests.sh [--zkvm risc0|openvm] [--method rzup|docker|stock] [--only NAME]...
                                 [--into DIR] [--check] [--plain]
       scripts/compile_guests.sh CRATE... [--out FOLDER] [--only NAME]... [--method rzup|stock]

Builds the guests (every crate under guests/ with a src/main.rs, except the host tool guests/pack)
and writes guests/elfs/NAME.bin and guests/manifest.json.

  --zkvm X     build for risc0 (the default) or for openvm: the guests in guests/openvm, by the stock
               method only. Their commitments are computed by the OpenVM extension (make
               setup-openvm), and vm.bin, the part of the VM's keys that verifying needs, is derived
               from vm.json.
  --method X   build with
                 rzup    an installed RISC Zero toolchain (https://risczero.com/install)
                 docker  RISC Zero's reproducible guest builder, in Docker
                 stock   a stock Rust with its sources (-Z build-std)
               The default is the first of these that is installed, and with --check the
               manifest's method.
  --only NAME  build only this guest. It may be repeated. The manifest keeps the others' entries.
  --into DIR   (OpenVM) build for another VM, with the parameters in DIR/vm.json, and write to DIR
               what is otherwise written to guests/openvm. Runs use it with guests=DIR.
  --check      build into a temporary folder and compare the image ids with the manifest. This
               changes nothing. There is one line for each guest, and the exit status is 1 if any
               image id differs.
  --plain      build the guests that ours are compared with, in benchmarks/plain_guests, into
               benchmarks/plain_guests/elfs, with a manifest of their own.
  --help       print this text

With the folders of crates, it builds their programs, which may be outside of this repository, into
FOLDER/elfs with FOLDER/manifest.json (default: guests). This is `python -m runner.compile`.

Environment variables: PYTHON is the interpreter that has runner_openvm (default: .venv/bin/python).
GUEST_RUSTC is the compiler of the stock method (default: /usr/bin/rustc if there is one, else the
rustc on the PATH). CARGO_TARGET_DIR is the folder for intermediate results (default: a folder below
~/.cache/zk-batch-runner/guests).
TEXT
}

die() {
    printf 'compile_guests: %s\n' "$*" >&2
    exit 1
}

say() {
    printf 'compile_guests: %s\n' "$*" >&2
}

# --- toolchains ----------------------------------------------------------------------------------

rzup_rustc() {
    command -v rustup >/dev/null && rustup which --toolchain risc0 rustc 2>/dev/null
}

docker_ready() {
    command -v docker >/dev/null && docker version >/dev/null 2>&1
}

stock_rustc() {
    if [[ -n ${GUEST_RUSTC:-} ]]; then
        printf '%s\n' "$GUEST_RUSTC"
    elif [[ -x /usr/bin/rustc ]]; then
        printf '%s\n' /usr/bin/rustc
    else
        command -v rustc
    fi
}

# Prints what the stock method lacks, one line for each.
stock_missing() {
    local rustc
    if ! command -v cargo >/dev/null; then
        echo "cargo (https://rustup.rs, or Debian: cargo-web)"
    fi
    if ! rustc=$(stock_rustc); then
        echo "rustc (https://rustup.rs, or Debian: rustc-web)"
    elif [[ ! -f $("$rustc" --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]]; then
        echo "the sources of $("$rustc" --version) (rustup component add rust-src, or Debian: rust-web-src)"
    fi
    if ! command -v ld.lld >/dev/null; then
        echo "ld.lld (Debian: lld)"
    fi
}

require() {
    local missing
    case $1 in
        rzup)
            rzup_rustc >/dev/null ||
                die "no RISC Zero toolchain. Install it: curl -L https://risczero.com/install | bash, then rzup install rust"
            command -v cargo >/dev/null || die "the rzup method needs cargo (https://rustup.rs)"
            ;;
        docker)
            docker_ready || die "Docker is not there or its daemon does not answer (docker version)"
            ;;
        stock)
            missing=$(stock_missing)
            [[ -z $missing ]] || die "the stock method lacks:
$missing
On Debian: apt-get install rustc-web rust-web-src lld"
            ;;
        *) die "unknown method '$1': rzup, docker or stock" ;;
    esac
}

pick_method() {
    if rzup_rustc >/dev/null; then
        echo rzup
    elif docker_ready; then
        echo docker
    else
        echo stock
    fi
}

# --- building ------------------------------------------------------------------------------------

# Prints the flags that risc0-build passes, after those that are given, separated as
# CARGO_ENCODED_RUSTFLAGS expects.
encoded_rustflags() {
    local separator=$'\x1f' flags=("$@")
    flags+=(
        -C passes=lower-atomic
        -C "link-arg=-Ttext=$TEXT_START"
        -C link-arg=--fatal-warnings
        -C panic=abort
        --cfg 'getrandom_backend="custom"'
    )
    local IFS=$separator
    printf '%s' "${flags[*]}"
}

# build_native METHOD builds the guests into $target_dir/$TARGET/release.
build_native() {
    local method=$1 rustc library name args=() flags=()
    if [[ $method == rzup ]]; then
        rustc=$(rzup_rustc)
    else
        rustc=$(stock_rustc)
        # The whole of std is built, although our own guests need only core: another guest may need
        # it, and with one set of arguments for all, an image id does not depend on other guests.
        args+=(-Z build-std=core,alloc,proc_macro,panic_abort,std)
        args+=(-Z build-std-features=compiler-builtins-mem)
        # The stock compiler does not include rust-lld.
        flags+=(-C linker=ld.lld)
    fi
    library=$("$rustc" --print sysroot)/lib/rustlib/src/rust
    flags+=(
        "--remap-path-prefix=$source_root=/guests"
        "--remap-path-prefix=$(realpath -m "$cargo_home")=/cargo"
        "--remap-path-prefix=$library=/rust"
        "--remap-path-prefix=$(realpath -m "$library")=/rust"
    )

    (
        cd "$workspace" || exit 1
        # A user's own flags, wrappers and profiles would change the image ids.
        while read -r variable; do
            unset "$variable"
        done < <(compgen -e | grep -E '^(RUSTFLAGS|RUSTC_.*|CARGO_(BUILD|PROFILE|TARGET|ENCODED|UNSTABLE)_.*)$' || true)
        [[ $method == rzup ]] || export RUSTC_BOOTSTRAP=1
        export RUSTC=$rustc CARGO_TARGET_DIR=$target_dir CARGO_INCREMENTAL=0
        CARGO_ENCODED_RUSTFLAGS=$(encoded_rustflags "${flags[@]}")
        export CARGO_ENCODED_RUSTFLAGS
        # They are built one by one, because together a guest would get the features that another
        # guest asks for.
        for name in "${names[@]}"; do
            cargo build --release --locked --target "$TARGET" "${args[@]}" -p "$name" || exit 1
        done
    ) || die "the build failed"
    toolchain_rustc=$("$rustc" --version)
}

# Builds the guests with the steps of risc0-build's docker_build, for a whole workspace.
build_docker() {
    local context out name flags
    context=$(mktemp -d "$scratch/docker.XXXXXX")
    out=$target_dir/$TARGET/release
    mkdir -p "$out"
    # In a quoted string of a Dockerfile, only quotes and backslashes need an escape.
    flags=$(encoded_rustflags --remap-path-prefix=/src=/guests --remap-path-prefix=/root/.cargo=/cargo |
        sed -e 's/["\\]/\\&/g')
    cat >"$context/Dockerfile" <<TEXT
FROM $DOCKER_IMAGE AS build
WORKDIR /src
COPY . .
ENV CARGO_ENCODED_RUSTFLAGS="$flags"
ENV CARGO_TARGET_DIR=/target
ENV CARGO_INCREMENTAL=0
RUN cargo +risc0 fetch --locked --target $TARGET
$(for name in "${names[@]}"; do
        echo "RUN cargo +risc0 build --release --locked --target $TARGET -p $name"
    done)
RUN rustc +risc0 --version > /target/$TARGET/release/rustc-version
FROM scratch AS export
COPY --from=build /target/$TARGET/release /
TEXT
    printf '%s\n' '**/target' '**/elfs' '**/.git' >"$context/Dockerfile.dockerignore"
    DOCKER_BUILDKIT=1 docker build --output="$out" -f "$context/Dockerfile" "$workspace" >&2
    toolchain_rustc=$(cat "$out/rustc-version")
}

# Joins each ELF with the kernel to $out/NAME.bin, and writes the image ids to $out/ids in lines of
# "NAME ID SHA256". OpenVM has no kernel: its ELF is $out/NAME.elf, and its lines are "NAME ID SHA256
# EXECUTABLE VM", with both commitments.
pack() {
    mkdir -p "$out"
    if [[ $zkvm == openvm ]]; then
        for name in "${names[@]}"; do
            cp "$target_dir/$TARGET/release/$name" "$out/$name.elf"
        done
        "$python" - "$home/vm.json" "$out" "${names[@]}" <<'PYTHON' || die "the commitments cannot be computed"
import hashlib
import sys
from pathlib import Path

try:
    import runner_openvm
except ImportError:
    sys.exit("compile_guests: runner_openvm is not installed; run `make setup-openvm`")
parameters, out = map(Path, sys.argv[1:3])
print(f"compile_guests: making the VM of {parameters} from fresh keys", file=sys.stderr)
try:
    definition = runner_openvm.make_vm(parameters.read_text())
except (OSError, runner_openvm.NativeError) as error:
    sys.exit(f"compile_guests: {parameters}: {error.args[-1]}")
(out / "vm.bin").write_bytes(definition)
loaded = runner_openvm.load_vm(definition)
bits = loaded["security_bits"]
print(f"compile_guests: {bits:.1f} bits of proven security", file=sys.stderr)
with (out / "ids").open("w") as ids:
    for name in sys.argv[3:]:
        elf = (out / f"{name}.elf").read_bytes()
        executable, vm = runner_openvm.commitments(elf)
        image_id = runner_openvm.image_id(executable, vm)
        print(
            name, image_id.hex(), hashlib.sha256(elf).hexdigest(), executable.hex(), vm.hex(), file=ids
        )
PYTHON
        return
    fi
    local name id sum pack_dir=$cache/pack
    (
        cd "$guests_dir" || exit 1
        CARGO_TARGET_DIR=$pack_dir cargo build --quiet --release --locked -p guest-pack
    ) || die "guests/pack does not build"
    : >"$out/ids"
    for name in "${names[@]}"; do
        id=$("$pack_dir/release/guest-pack" "$target_dir/$TARGET/release/$name" "$out/$name.bin")
        sum=$(sha256sum "$out/$name.bin" | cut -d' ' -f1)
        printf '%s %s %s\n' "$name" "$id" "$sum" >>"$out/ids"
    done
}

# --- the manifest --------------------------------------------------------------------------------

# Writes $home/manifest.json from the lines of $out/ids on standard input. With --only, the other
# guests' entries remain.
write_manifest() {
    python3 - "$home/manifest.json" "$method" "$toolchain_rustc" "$zkvm" "$zkvm_version" "$keep" "$all_names" 3<&0 <<'PYTHON'
import hashlib
import json
import os
import sys

path, method, rustc, zkvm, version, keep, all_names = sys.argv[1:]
library, suffix = ("openvm", "elf") if zkvm == "openvm" else ("risc0_zkvm", "bin")
toolchain = {"method": method, library: version, "rustc": rustc}
guests = {}
if keep == "1" and os.path.exists(path):
    with open(path, encoding="utf-8") as file:
        old = json.load(file)
    guests = {name: entry for name, entry in old["guests"].items() if name in all_names.split()}
    if guests and old["toolchain"] != toolchain:
        sys.exit(
            "compile_guests: the manifest's other guests were built with another toolchain "
            f"({old['toolchain']['method']}, {old['toolchain']['rustc']}); build all of them"
        )
with os.fdopen(3, encoding="utf-8") as lines:
    for line in lines:
        name, image_id, digest, *commitments = line.split()
        guests[name] = {"elf": f"elfs/{name}.{suffix}", "elf_sha256": digest, "image_id": image_id}
        guests[name] |= zip(("executable", "vm"), commitments)
manifest = {"format": 1, "guests": guests, "toolchain": toolchain, "zkvm": zkvm}
if zkvm == "openvm":
    with open(os.path.join(os.path.dirname(path), "vm.bin"), "rb") as file:
        manifest["vm_sha256"] = hashlib.sha256(file.read()).hexdigest()
text = json.dumps(manifest, indent=2, sort_keys=True)
with open(path + ".tmp", "w", encoding="utf-8") as file:
    file.write(text + "\n")
os.replace(path + ".tmp", path)
PYTHON
}

# manifest_value KEY... prints one value of the manifest, or nothing.
manifest_value() {
    python3 - "$home/manifest.json" "$@" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    value = json.load(file)
for key in sys.argv[2:]:
    value = value.get(key, {})
print(value or "")
PYTHON
}

compare() {
    local name id sum expected committed_rustc differing=0
    committed_rustc=$(manifest_value toolchain rustc)
    if [[ $(manifest_value toolchain method) != "$method" || $committed_rustc != "$toolchain_rustc" ]]; then
        say "note: the manifest is of another toolchain ($(manifest_value toolchain method), $committed_rustc); this is $method, $toolchain_rustc. Other compilers give other image ids."
    fi
    while read -r name id _; do
        expected=$(manifest_value guests "$name" image_id)
        if [[ $id != "$expected" ]]; then
            printf '%s: differs: built %s, manifest %s\n' "$name" "$id" "${expected:-has none}"
            differing=1
        else
            printf '%s: ok %s\n' "$name" "$id"
            sum=$(manifest_value guests "$name" elf_sha256)
            if [[ $(sha256sum "$home/elfs/$name.$suffix" 2>/dev/null | cut -d' ' -f1) != "$sum" ]]; then
                printf '%s: elfs/%s.%s is not the file the manifest names\n' "$name" "$name" "$suffix"
                differing=1
            fi
        fi
    done <"$out/ids"
    if [[ $zkvm == openvm ]] && ! cmp -s "$out/vm.bin" "$home/vm.bin"; then
        echo "vm.bin: is not of the parameters in $home/vm.json"
        differing=1
    fi
    if [[ $keep == 0 ]]; then
        local listed
        for listed in $(manifest_guests); do
            if [[ " $all_names " != *" $listed "* ]]; then
                printf '%s: in the manifest, but there is no such guest\n' "$listed"
                differing=1
            fi
        done
    fi
    return "$differing"
}

manifest_guests() {
    python3 -c 'import json, sys; print(*json.load(open(sys.argv[1], encoding="utf-8"))["guests"])' \
        "$home/manifest.json"
}

# --- the command ---------------------------------------------------------------------------------

# The crates of others are built by a program that is installed with the runner.
for argument in "$@"; do
    if [[ $argument != -* && -f $argument/Cargo.toml ]]; then
        PYTHONPATH=$repo${PYTHONPATH:+:$PYTHONPATH} exec "${PYTHON:-$repo/.venv/bin/python}" -m runner.compile "$@"
    fi
done

method="" check=0 plain=0 only=() zkvm=risc0 into=""
while (($#)); do
    case $1 in
        --zkvm) [[ $# -ge 2 ]] || die "--zkvm needs a value"; zkvm=$2; shift ;;
        --zkvm=*) zkvm=${1#*=} ;;
        --method) [[ $# -ge 2 ]] || die "--method needs a value"; method=$2; shift ;;
        --method=*) method=${1#*=} ;;
        --only) [[ $# -ge 2 ]] || die "--only needs a value"; only+=("$2"); shift ;;
        --only=*) only+=("${1#*=}") ;;
        --into) [[ $# -ge 2 ]] || die "--into needs a value"; into=$2; shift ;;
        --into=*) into=${1#*=} ;;
        --check) check=1 ;;
        --plain) plain=1 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; die "unknown argument '$1'" ;;
    esac
    shift
done

case $(uname -s) in
    MINGW* | MSYS* | CYGWIN*)
        die "guests cannot be built on Windows itself. Run this script inside WSL (wsl --install), or in a Linux container with Docker Desktop. The compiled guests in guests/elfs need no build."
        ;;
esac
command -v python3 >/dev/null || die "python3 is needed to write the manifest"

workspace=$guests_dir zkvm_version=$RISC0_ZKVM suffix=bin
((plain)) && workspace=$repo/benchmarks/plain_guests
# Paths in a guest are relative to this folder. OpenVM's workspace has sources outside of it.
source_root=$workspace
python=${PYTHON:-$repo/.venv/bin/python}
case $zkvm in
    risc0) ;;
    openvm)
        ((plain)) && die "--plain has guests for RISC Zero only"
        [[ ${method:-stock} == stock ]] || die "guests for OpenVM are built by the stock method only"
        method=stock workspace=$guests_dir/openvm zkvm_version=$OPENVM suffix=elf
        ;;
    *) die "unknown zkVM '$zkvm': risc0 or openvm" ;;
esac

found=()
if [[ $zkvm == openvm ]]; then
    for manifest in "$workspace"/*/Cargo.toml; do
        ! grep -q '^\[\[bin\]\]' "$manifest" || found+=("$(basename "$(dirname "$manifest")")")
    done
else
    for main in "$workspace"/*/src/main.rs; do
        name=$(basename "$(dirname "$(dirname "$main")")")
        [[ $workspace == "$guests_dir" && $name == pack ]] || found+=("$name")
    done
fi
all_names=${found[*]}
# The manifest and the results are in this folder.
home=$workspace
if [[ -n $into ]]; then
    [[ $zkvm == openvm ]] || die "--into is for OpenVM (--zkvm openvm)"
    [[ -f $into/vm.json ]] || die "there is no $into/vm.json; start from a copy of guests/openvm/vm.json"
    home=$(cd "$into" && pwd -P)
fi

names=("${found[@]}") keep=0
if ((${#only[@]})); then
    names=("${only[@]}") keep=1
    for name in "${names[@]}"; do
        [[ " $all_names " == *" $name "* ]] || die "no guest '$name' in $workspace; there are: $all_names"
    done
fi

if ((check)); then
    [[ -f $home/manifest.json ]] || die "there is no $home/manifest.json to check against"
    [[ -n $method ]] || method=$(manifest_value toolchain method)
fi
[[ -n $method ]] || method=$(pick_method)
require "$method"
command -v cargo >/dev/null || die "cargo is needed to build the guests (https://rustup.rs)"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
target_dir=${CARGO_TARGET_DIR:-$cache/$method}
((plain)) && target_dir+=-plain
[[ $zkvm == openvm ]] && target_dir+=-openvm
out=$scratch/elfs
toolchain_rustc=""

say "building ${names[*]} ($method)"
case $method in
    docker) build_docker ;;
    *) build_native "$method" ;;
esac
pack

if ((check)); then
    compare || exit 1
    exit 0
fi

mkdir -p "$home/elfs"
for name in "${names[@]}"; do
    install -m 644 "$out/$name.$suffix" "$home/elfs/$name.$suffix"
done
[[ $zkvm != openvm ]] || install -m 644 "$out/vm.bin" "$home/vm.bin"
write_manifest <"$out/ids"
while read -r name id _; do
    printf '%s %s\n' "$name" "$id"
done <"$out/ids"
