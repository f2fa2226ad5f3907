/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests ask of the GMEM devices made of software: /dev/test_gmem,
 * /dev/test_gmem1 and /dev/test_gmem_peer, which manages its memory itself.
 */
#ifndef _TEST_GMEM_UAPI_H
#define _TEST_GMEM_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct test_gmem_op - something the device does
 * @addr: Address in the address space of the process that opened the file.
 * @buffer: The caller's buffer: what is read, or is to be written. With
 *	TEST_GMEM_ADD the number to add, with TEST_GMEM_FAULT unused.
 * @size: Bytes; with TEST_GMEM_ADD how often to add.
 * @hint: enum gm_fault_hint for the faults that happen on the way.
 * @access: With TEST_GMEM_FAULT: enum gm_access, or ~0 for gm_dev_fault().
 * @ret: Out: enum gm_ret of the fault that ended it.
 * @pad: Not used.
 */
struct test_gmem_op {
	__u64 addr;
	__u64 buffer;
	__u64 size;
	__u32 hint;
	__u32 access;
	__u32 ret;
	__u32 pad;
};

/**
 * struct test_gmem_where - answer of vm_object_lookup()
 * @addr: The address.
 * @flag: Out: GM_PAGE_*.
 * @ret: Out: enum gm_ret.
 * @pfn: Out: page number in the device's memory.
 * @hnid: Out: the hnode it is on, or -1.
 * @pad: Not used.
 */
struct test_gmem_where {
	__u64 addr;
	__u32 flag;
	__u32 ret;
	__u64 pfn;
	__s32 hnid;
	__u32 pad;
};

/**
 * struct test_gmem_range - an address space
 * @start: First address.
 * @end: One past the last.
 * @mode: enum gm_mmu_mode.
 * @pad: Not used.
 */
struct test_gmem_range {
	__u64 start;
	__u64 end;
	__u32 mode;
	__u32 pad;
};

/**
 * struct test_gmem_lend - another file's address space
 * @fd: The file; of the same process and of another device.
 * @mode: enum gm_mmu_mode.
 */
struct test_gmem_lend {
	__s32 fd;
	__u32 mode;
};

/* What the devices have as gm_mmu.mmu_cookie unless they are told otherwise. */
#define TEST_GMEM_COOKIE_OWN	0x7465737400000001ULL

/**
 * struct test_gmem_info - the device
 * @size: Pages of device memory.
 * @nr_free: Those of them that are free.
 * @hnid: The hnode.
 * @stale: Accesses that a TLB entry allowed and the page table did not. Between
 *	a release and the flush there may be some; the tests that check it have
 *	nothing going on.
 * @bus_maps: Runs of its memory that other devices were let read.
 * @bus_mapped: Those that they still are.
 */
struct test_gmem_info {
	__u64 size;
	__u64 nr_free;
	__u32 hnid;
	__u32 stale;
	__u32 bus_maps;
	__u32 bus_mapped;
};

/**
 * struct test_gmem_fail - failures to come
 * @copies: So many copies fail.
 * @enters: So many calls of pmap_enter() fail, or of peer_map() without a copy.
 * @maps: So many calls of peer_map() with a copy, or for zeroes, fail.
 * @full: So many of them find no memory.
 */
struct test_gmem_fail {
	__u32 copies;
	__u32 enters;
	__u32 maps;
	__u32 full;
};

/**
 * struct test_gmem_peer - what the peer has of the process
 * @held: Pages of memory.
 * @va_pages: Pages of VMAs.
 * @vmas: VMAs.
 * @pad: Not used.
 */
struct test_gmem_peer {
	__u64 held;
	__u64 va_pages;
	__u32 vmas;
	__u32 pad;
};

/* struct gm_stats, as many counters as fit */
struct test_gmem_stats {
	__u64 value[32];
};

#define TEST_GMEM_READ		_IOWR('G', 0x00, struct test_gmem_op)
#define TEST_GMEM_WRITE		_IOWR('G', 0x01, struct test_gmem_op)
#define TEST_GMEM_ADD		_IOWR('G', 0x02, struct test_gmem_op)
#define TEST_GMEM_FAULT		_IOWR('G', 0x03, struct test_gmem_op)
#define TEST_GMEM_WHERE		_IOWR('G', 0x04, struct test_gmem_where)
#define TEST_GMEM_STATS		_IOR('G', 0x05, struct test_gmem_stats)
#define TEST_GMEM_INFO		_IOR('G', 0x06, struct test_gmem_info)
#define TEST_GMEM_FAIL		_IOW('G', 0x07, struct test_gmem_fail)
/* Take the memory away from GMEM and give it back. */
#define TEST_GMEM_REPLUG	_IO('G', 0x08)
/* Destroy and make anew the address space of this file. */
#define TEST_GMEM_REATTACH	_IO('G', 0x09)
/* The same, as it says. */
#define TEST_GMEM_RANGE		_IOW('G', 0x0a, struct test_gmem_range)
/* Be in the address space of another file from now on, until that is closed. */
#define TEST_GMEM_BORROW	_IOW('G', 0x0b, struct test_gmem_lend)
/* Have another format of page tables. */
#define TEST_GMEM_COOKIE	_IOW('G', 0x0c, __u64)

/* Say that it counts accesses, gm_dev.counts_accesses, or does not any longer. */
#define TEST_GMEM_COUNT		_IOW('G', 0x0f, __u64)
/* gm_context_accessed(), of @addr and @size. */
#define TEST_GMEM_ACCESSED	_IOW('G', 0x10, struct test_gmem_op)

/* Other devices see its memory, or do not. */
#define TEST_GMEM_VISIBLE	_IOW('G', 0x11, __u64)

/* Ask the peer. */
#define TEST_GMEM_PEER		_IOR('G', 0x0d, struct test_gmem_peer)
/* The peer has a VMA of its own there; end 0: not any more. */
#define TEST_GMEM_PEER_OWN	_IOW('G', 0x0e, struct test_gmem_range)

#endif /* _TEST_GMEM_UAPI_H */
