// SPDX-License-Identifier: GPL-2.0-or-later
//
// One benchmark kernel per build, chosen by KERNEL, in a program that needs
// nothing but the exit system call. GMEMU_EMPTY measures starting up alone.
#include <stddef.h>
#include <stdint.h>

#define SIZE (64 * 1024)

static float a[SIZE], b[SIZE], c[SIZE];
static uint32_t next[SIZE];

// Memory functions the compiler may call.
void *memset(void *dst, int value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile unsigned char *)dst)[i] = (unsigned char)value;
	return dst;
}

__attribute__((noinline)) static void saxpy(size_t n, float k, const float *x, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = k * x[i] + y[i];
}

__attribute__((noinline)) static void sgemm(size_t n, const float *x, const float *y, float *z)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			float sum = 0;
			for (size_t k = 0; k < n; k++)
				sum += x[i * n + k] * y[k * n + j];
			z[i * n + j] = sum;
		}
}

__attribute__((noinline)) static uint32_t chase(const uint32_t *list, uint32_t at, size_t steps)
{
	for (size_t i = 0; i < steps; i++)
		at = list[at];
	return at;
}

__attribute__((noinline)) static uint64_t integers(uint64_t seed, size_t steps)
{
	uint64_t x = seed, sum = 0;
	for (size_t i = 0; i < steps; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (x & 16)
			sum += x % 1000;
		else
			sum ^= x * 31;
	}
	return sum;
}

__attribute__((noinline)) static unsigned sieve(unsigned char *flags, unsigned n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < n; i++)
		flags[i] = 1;
	for (unsigned i = 2; i < n; i++) {
		if (!flags[i])
			continue;
		count++;
		for (unsigned j = 2 * i; j < n; j += i)
			flags[j] = 0;
	}
	return count;
}

static volatile uint64_t sink;

static void run(void)
{
#if KERNEL == 1
	for (int i = 0; i < SIZE; i++) {
		a[i] = (float)i;
		b[i] = 1;
	}
	for (int i = 0; i < 600; i++)
		saxpy(SIZE, 0.5f, a, b);
	sink = (uint64_t)b[5];
#elif KERNEL == 2
	for (int i = 0; i < SIZE; i++) {
		a[i] = (float)(i & 7);
		b[i] = (float)(i & 3);
	}
	for (int i = 0; i < 2; i++)
		sgemm(256, a, b, c);
	sink = (uint64_t)c[77];
#elif KERNEL == 3
	for (uint32_t i = 0; i < SIZE; i++)
		next[i] = (i * 40503u + 12345u) % SIZE;
	sink = chase(next, 1, 40000000);
#elif KERNEL == 4
	sink = integers(88172645463325252ull, 15000000);
#elif KERNEL == 5
	for (int i = 0; i < 80; i++)
		sink = sieve((unsigned char *)a, sizeof(a));
#endif
}

void program(void)
{
	run();
	register long number __asm__("a7") = 93; // exit
	register long status __asm__("a0") = 0;
	__asm__ volatile("ecall" : : "r"(number), "r"(status));
	__builtin_unreachable();
}

__attribute__((naked, section(".text.start"))) void _start(void)
{
	__asm__ volatile("j program");
}
