/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door into a stock QEMU: -plugin gmemu-qemu.so -device gmemu
 *
 * QEMU loads TCG plugins before it creates devices, and Debian's QEMU exports its
 * functions for modules; so a plugin can bring a device. That works only with the
 * QEMU whose headers the device was compiled with. This file therefore uses none
 * of them: it asks the running QEMU for its version, and only if there is a
 * gmemu-qemu-MAJOR.MINOR.so beside it, which is gmemu-pci.c with the device core,
 * loads that. Otherwise it says what is wrong, where a missing symbol would just
 * fail the loader.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The plugin API level of QEMU 9.0 to 10.0. Nothing of that API is used. */
EXPORT int qemu_plugin_version = 2;

/* QEMU's answer to query-version; the same since QMP exists. */
struct version_triple {
	int64_t major, minor, micro;
};
struct version_info {
	struct version_triple *qemu;
	char *package;
};

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static int fail(const char *text)
{
	fprintf(stderr, "gmemu: %s\n", text);
	return 1;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	struct version_info *(*query)(void **errp);
	struct version_info *version;
	void (*register_types)(void);
	char path[PATH_MAX], text[PATH_MAX + 256];
	const char *slash;
	Dl_info self;
	void *device;

	(void)id;
	(void)info;
	(void)argc;
	(void)argv;
	*(void **)&query = dlsym(RTLD_DEFAULT, "qmp_query_version");
	version = query ? query(NULL) : NULL;
	if (!version)
		return fail("this program exports no QEMU functions; gmemu needs Debian's "
			    "qemu-system-x86_64 10.0, or the QEMU that gmemu builds itself "
			    "(./gmemu run --qemu intree)");
	if (!dladdr(&qemu_plugin_version, &self) || !self.dli_fname)
		return fail("cannot find out where the plugin lies");
	slash = strrchr(self.dli_fname, '/');
	snprintf(path, sizeof(path), "%.*sgmemu-qemu-%d.%d.so",
		 slash ? (int)(slash - self.dli_fname + 1) : 0, self.dli_fname,
		 (int)version->qemu->major, (int)version->qemu->minor);
	if (access(path, R_OK)) {
		snprintf(text, sizeof(text),
			 "there is no gmemu device for QEMU %d.%d: %s does not exist.\n"
			 "gmemu: use Debian's QEMU 10.0 (Debian 12: from bookworm-backports), or the "
			 "QEMU that gmemu builds itself (./gmemu run --qemu intree)",
			 (int)version->qemu->major, (int)version->qemu->minor, path);
		return fail(text);
	}
	device = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!device) {
		snprintf(text, sizeof(text), "cannot load the device: %s", dlerror());
		return fail(text);
	}
	*(void **)&register_types = dlsym(device, "gmemu_register_types");
	if (!register_types)
		return fail("the device module is broken: it has no gmemu_register_types");
	register_types();
	return 0;
}
