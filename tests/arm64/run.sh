#!/usr/bin/env bash
# Run tests on 64-bit Arm: an arm64 Debian tree under user-mode emulation.
#
#   tests/arm64/run.sh                      # the default tests below
#   tests/arm64/run.sh -k rapl              # the same with more options of pytest
#   tests/arm64/run.sh tests/models -k step # other tests
#
# Needs root (chroot and mounts in a namespace of their own) and the Debian packages
# qemu-user-static and debootstrap. The tree is kept in a cache folder; remove it to start anew.
# Nothing is configured inside the tree, packages are only unpacked: that is enough for Python and
# saves minutes of emulated package scripts.
set -euo pipefail

REPOSITORY=$(cd "$(dirname "$0")/../.." && pwd)
CACHE=${ARM64_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mas-edge-harness/arm64}
MIRROR=${ARM64_MIRROR:-http://deb.debian.org/debian}
SUITE=bookworm
# The last PyTorch whose aarch64 wheel is a plain processor build of 100 MB; newer ones carry CUDA.
TORCH=${ARM64_TORCH:-torch==2.8.0}
REQUIREMENTS=(numpy rich safetensors pytest pytest-timeout hypothesis)
# pip judges "only on x86-64" by the machine it runs on, so what PyTorch needs is named here.
TORCH_NEEDS=(filelock fsspec jinja2 networkx sympy typing-extensions)
PYTHON=${PYTHON:-python3}
QEMU=$(command -v qemu-aarch64-static || true)
TREE=$CACHE/tree
SITE=$TREE/opt/site
BINFMT=/proc/sys/fs/binfmt_misc
# Bytes 0-19 of an ELF header: 64-bit, little-endian, executable or shared (mask fe), machine 0xb7.
MAGIC='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
DEFAULT_TESTS=(
  tests/devices
  tests/harness/data/test_scenes_golden.py
  tests/harness/commands
  tests/models
)

fail() {
  echo "test-arm64: $1" >&2
  exit 2
}

check_tools() {
  local missing=()
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  [[ -n $QEMU ]] || missing+=(qemu-user-static)
  [[ ${#missing[@]} -eq 0 ]] || fail "missing; apt-get install ${missing[*]}"
  [[ $(id -u) -eq 0 ]] || fail "chroot needs root: sudo make test-arm64"
}

make_tree() {
  [[ -e $CACHE/tree-ready ]] && return
  rm -rf "$TREE"
  mkdir -p "$CACHE"
  debootstrap --foreign --arch=arm64 --variant=minbase --include=python3.11 \
    "$SUITE" "$TREE" "$MIRROR" >"$CACHE/debootstrap.log" 2>&1 ||
    fail "debootstrap failed, see $CACHE/debootstrap.log"
  local package
  for package in "$TREE"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$TREE" --keep-directory-symlink
  done
  rm -rf "$TREE"/var/cache/apt/archives/*.deb
  touch "$CACHE/tree-ready"
}

pip_for_arm64() {
  "$CACHE/pip/bin/pip" install --quiet --disable-pip-version-check --target "$SITE" \
    --python-version 3.11 --only-binary=:all: --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 "$@"
}

install_wheels() {
  local wanted="$TORCH ${REQUIREMENTS[*]}"
  [[ -e $CACHE/wheels-ready && $(<"$CACHE/wheels-ready") == "$wanted" ]] && return
  rm -rf "$SITE"
  "$PYTHON" -m venv "$CACHE/pip"
  pip_for_arm64 --no-deps "$TORCH"
  pip_for_arm64 "${REQUIREMENTS[@]}" "${TORCH_NEEDS[@]}"
  echo "$wanted" >"$CACHE/wheels-ready"
}

# Tell the kernel to run arm64 programs by qemu, and take that back at the end; an existing
# registration is used as it is.
register_emulator() {
  if [[ ! -e $BINFMT/register ]]; then
    mount -t binfmt_misc binfmt_misc "$BINFMT" || fail "this kernel has no binfmt_misc"
    MOUNTED_BINFMT=yes
  fi
  [[ -e $BINFMT/qemu-aarch64 ]] && return
  echo ":mas-arm64:M::$MAGIC:$MASK:$QEMU:F" >"$BINFMT/register"
  REGISTERED=yes
}

unregister_emulator() {
  [[ -n ${REGISTERED:-} ]] && echo -1 >"$BINFMT/mas-arm64"
  [[ -n ${MOUNTED_BINFMT:-} ]] && umount "$BINFMT"
  return 0
}

# The checkout is mounted read-only, so that tests prove that they leave it alone.
run_tests() {
  mkdir -p "$TREE/repository"
  export REPOSITORY TREE
  unshare --mount --propagation private bash -euc '
    mount --bind "$REPOSITORY" "$TREE/repository"
    mount -o remount,bind,ro "$TREE/repository"
    mount -t proc proc "$TREE/proc"
    mount -t tmpfs tmpfs "$TREE/tmp"
    mount --rbind /dev "$TREE/dev"
    exec chroot "$TREE" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 \
      PYTHONPATH=/opt/site PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \
      HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
      /bin/sh -c "cd /repository && exec python3.11 -m pytest \"\$@\"" sh "$@"
  ' bash "$@"
}

check_tools
make_tree
install_wheels
trap unregister_emulator EXIT
register_emulator
[[ $# -gt 0 && $1 != -* ]] || set -- "${DEFAULT_TESTS[@]}" "$@"
echo "test-arm64: $SUITE arm64, $("$QEMU" --version | head -n 1), $TORCH"
run_tests "$@"
