// SPDX-License-Identifier: GPL-2.0-or-later
//
// Preloaded into a program that knows nothing of it: attaches the program's address space to the
// device, and starts `hammer`, which makes the device work there. Nothing of either stays in the
// program: no mapping but this library's, no thread, no child, no open file.
//
// GMEMU_HAMMER is the hammer's program, GMEMU_HAMMER_ARGS its arguments (see hammer.c).

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODE "/dev/hmm_dmirror0"
#define MAX_ARGS 8

static void start(const char *program, char *args, int fd, int ready)
{
	char pid[16], mirror[16], started[16];
	char *argv[MAX_ARGS + 5] = {(char *)program, pid, mirror, started};
	int n = 4;

	snprintf(pid, sizeof(pid), "%d", getppid());
	snprintf(mirror, sizeof(mirror), "%d", fd);
	snprintf(started, sizeof(started), "%d", ready);
	for (char *arg = strtok(args, " "); arg && n < MAX_ARGS + 4; arg = strtok(NULL, " "))
		argv[n++] = arg;
	// The hammer is no child of the program: that may wait for any.
	if (fork() == 0) {
		setsid();
		execv(program, argv);
		_exit(127);
	}
	_exit(0);
}

__attribute__((constructor)) static void attach(void)
{
	const char *program = getenv("GMEMU_HAMMER"), *args = getenv("GMEMU_HAMMER_ARGS");
	char copy[128] = "", byte;
	int fd, ready[2], status;
	pid_t child;

	if (!program)
		return;
	// Not what the program starts: these have nothing to do with its memory.
	unsetenv("LD_PRELOAD");
	snprintf(copy, sizeof(copy), "%s", args ? args : "");
	fd = open(NODE, O_RDWR);
	if (fd < 0 || pipe(ready)) {
		perror("attach: " NODE);
		_exit(125);
	}
	child = fork();
	if (child == 0) {
		close(ready[0]);
		start(program, copy, fd, ready[1]);
	}
	close(fd);
	close(ready[1]);
	if (child < 0 || waitpid(child, &status, 0) != child || read(ready[0], &byte, 1) != 1) {
		fprintf(stderr, "attach: %s does not start\n", program);
		_exit(125);
	}
	close(ready[0]);
}
