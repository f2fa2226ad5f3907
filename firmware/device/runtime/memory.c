/* SPDX-License-Identifier: MIT */
/*
 * The memory functions a compiler may call behind the program's back. Compiled with
 * -fno-builtin, or the loops would be turned into calls of themselves.
 */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t __attribute__((may_alias)) word;

static int both_aligned(const void *a, const void *b) { return (((uintptr_t)a | (uintptr_t)b) & 7) == 0; }

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    if (both_aligned(d, s)) {
        for (; n >= 32; n -= 32, d += 32, s += 32) {
            word w0 = ((const word *)s)[0];
            word w1 = ((const word *)s)[1];
            word w2 = ((const word *)s)[2];
            word w3 = ((const word *)s)[3];

            ((word *)d)[0] = w0;
            ((word *)d)[1] = w1;
            ((word *)d)[2] = w2;
            ((word *)d)[3] = w3;
        }
        for (; n >= 8; n -= 8, d += 8, s += 8)
            *(word *)d = *(const word *)s;
    }
    while (n--)
        *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(dst, src, n);
    d += n;
    s += n;
    if (both_aligned(d, s)) {
        for (; n >= 8; n -= 8) {
            d -= 8;
            s -= 8;
            *(word *)d = *(const word *)s;
        }
    }
    while (n--)
        *--d = *--s;
    return dst;
}

void *memset(void *dst, int byte, size_t n)
{
    unsigned char *d = dst;
    word pattern = 0x0101010101010101ull * (unsigned char)byte;

    for (; n && ((uintptr_t)d & 7); n--)
        *d++ = (unsigned char)byte;
    for (; n >= 8; n -= 8, d += 8)
        *(word *)d = pattern;
    while (n--)
        *d++ = (unsigned char)byte;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;

    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p < *q ? -1 : 1;
    return 0;
}
