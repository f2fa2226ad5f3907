# SPDX-License-Identifier: GPL-2.0-or-later
#
# gmemu as an image: launcher, guest kernel, driver, firmware, library, and a small QEMU
# with the device. It needs no privileges, and no KVM.
#
#   docker build -t gmemu .
#   docker run --rm gmemu                                          the demo
#   docker run --rm -v "$PWD":/src -w /src gmemu run -- ./prog     your program in the guest
#   docker run --rm gmemu test --only 'guest/*'                    tests, in the image
#   docker run --rm --device /dev/kvm gmemu                        with KVM
#
# Without a Docker engine scripts/image.sh does the same with buildah. BASE is Debian 13.
ARG BASE=debian:trixie-slim

# Layers that any builder keeps, BuildKit or not, from what seldom changes to what often does:
# Debian's packages; the guest's kernel and QEMU's source; gmemu.
FROM $BASE AS build
WORKDIR /usr/src/gmemu
ENV GMEMU_CACHE=/var/cache/gmemu CCACHE_DISABLE=1
COPY scripts/lib.sh scripts/apt.sh scripts/deps.sh scripts/
RUN scripts/deps.sh
COPY scripts/kernel.sh scripts/qemu.sh scripts/
COPY guest-kernel-patches guest-kernel-patches
RUN scripts/kernel.sh build && scripts/qemu.sh headers
COPY . .
RUN GMEMU_BUILD=/var/cache/gmemu/build scripts/install.sh --prefix /usr --destdir /out --tests

FROM $BASE
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libattr1 libcap-ng0 libfmt10 libglib2.0-0t64 libstdc++6 zlib1g && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=build /out /
ENTRYPOINT ["gmemu"]
CMD ["demo"]
