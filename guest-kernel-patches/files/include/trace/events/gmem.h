/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmem

#if !defined(_TRACE_GMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_GMEM_H

#include <linux/gmem.h>
#include <linux/tracepoint.h>

TRACE_EVENT(gmem_fault,
	TP_PROTO(int dev, unsigned long addr, unsigned int access, int ret),
	TP_ARGS(dev, addr, access, ret),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(unsigned long, addr)
		__field(unsigned int, access)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->addr = addr;
		__entry->access = access;
		__entry->ret = ret;
	),
	TP_printk("dev=%d addr=%#lx access=%s ret=%d", __entry->dev,
		  __entry->addr,
		  __print_symbolic(__entry->access,
				   { GM_ACCESS_READ, "read" },
				   { GM_ACCESS_WRITE, "write" },
				   { GM_ACCESS_EXEC, "exec" },
				   { GM_ACCESS_ATOMIC, "atomic" },
				   { GM_ACCESS_PREFETCH, "prefetch" },
				   { GM_ACCESS_PREFETCH + 1, "any" }),
		  __entry->ret)
);

DECLARE_EVENT_CLASS(gmem_move,
	TP_PROTO(int dev, unsigned long addr, unsigned int wanted,
		 unsigned int moved),
	TP_ARGS(dev, addr, wanted, moved),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(unsigned long, addr)
		__field(unsigned int, wanted)
		__field(unsigned int, moved)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->addr = addr;
		__entry->wanted = wanted;
		__entry->moved = moved;
	),
	TP_printk("dev=%d addr=%#lx wanted=%u moved=%u", __entry->dev,
		  __entry->addr, __entry->wanted, __entry->moved)
);

/* addr: virtual */
DEFINE_EVENT(gmem_move, gmem_to_device,
	TP_PROTO(int dev, unsigned long addr, unsigned int wanted,
		 unsigned int moved),
	TP_ARGS(dev, addr, wanted, moved));

/* addr: virtual */
DEFINE_EVENT(gmem_move, gmem_to_host,
	TP_PROTO(int dev, unsigned long addr, unsigned int wanted,
		 unsigned int moved),
	TP_ARGS(dev, addr, wanted, moved));

/* addr: in the device's memory */
DEFINE_EVENT(gmem_move, gmem_evict,
	TP_PROTO(int dev, unsigned long addr, unsigned int wanted,
		 unsigned int moved),
	TP_ARGS(dev, addr, wanted, moved));

TRACE_EVENT(gmem_map,
	TP_PROTO(int dev, unsigned long va, unsigned long size,
		 unsigned long pa, unsigned long prot),
	TP_ARGS(dev, va, size, pa, prot),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(unsigned long, va)
		__field(unsigned long, size)
		__field(unsigned long, pa)
		__field(unsigned long, prot)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->size = size;
		__entry->pa = pa;
		__entry->prot = prot;
	),
	TP_printk("dev=%d va=%#lx size=%#lx pa=%#lx prot=%#lx", __entry->dev,
		  __entry->va, __entry->size, __entry->pa, __entry->prot)
);

TRACE_EVENT(gmem_invalidate,
	TP_PROTO(unsigned long start, unsigned long end, int event),
	TP_ARGS(start, end, event),
	TP_STRUCT__entry(
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(int, event)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
		__entry->event = event;
	),
	TP_printk("start=%#lx end=%#lx event=%d", __entry->start, __entry->end,
		  __entry->event)
);

#endif /* _TRACE_GMEM_H */

#include <trace/define_trace.h>
