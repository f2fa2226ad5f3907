/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * hmadvise(2): what a process tells Linux about memory it shares with devices.
 * See Documentation/mm/gmem.rst.
 */
#ifndef _UAPI_LINUX_GMEM_H
#define _UAPI_LINUX_GMEM_H

/* The hnid of system memory, or of any device, as the behavior has it. */
#define HMADV_HNID_NONE		(-1)

/* Done once. */
#define HMADV_DONTNEED		4	/* as MADV_DONTNEED, where it is on @hnid */
#define HMADV_PREFETCH		26	/* bring it to @hnid, in the background */
#define HMADV_EVICT		32	/* bring home what @hnid has of it */
#define HMADV_MARK_HOT		33	/* prefetch, and forget that it bounced */

/* Remembered until the opposite is said or the memory is unmapped. */
#define HMADV_PREFERRED		34	/* @hnid is the best place for it */
#define HMADV_NO_PREFERRED	35
#define HMADV_MAP_REMOTE	36	/* @hnid's device leaves it where it is */
#define HMADV_NO_MAP_REMOTE	37
#define HMADV_PIN		38	/* bring it to @hnid, do not evict it */
#define HMADV_UNPIN		39
#define HMADV_READ_MOSTLY	40	/* @hnid's device gets copies to read */
#define HMADV_NO_READ_MOSTLY	41

#endif /* _UAPI_LINUX_GMEM_H */
