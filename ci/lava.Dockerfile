# SPDX-License-Identifier: GPL-2.0-or-later
#
# gmemu's image as a device of LAVA: it starts a shell, and has what the job of lava-job.yaml
# calls. From a checkout: docker build -t gmemu . && docker build -t gmemu-lava -f ci/lava.Dockerfile .
ARG BASE=gmemu
FROM $BASE
COPY ci/job ci/in-guest ci/lava-results /usr/share/gmemu/ci/
# COPY YOUR-TESTS /srv/YOUR-TESTS
ENTRYPOINT []
CMD ["bash"]
