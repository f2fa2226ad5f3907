/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmemu

#if !defined(__GMEMU_TRACE_H__) || defined(TRACE_HEADER_MULTI_READ)
#define __GMEMU_TRACE_H__

#include <linux/tracepoint.h>

TRACE_EVENT(gmemu_fault,
	TP_PROTO(int dev, u32 ctx, u64 va, u8 access, u8 type, u16 queue, u8 client, u64 device_ns),
	TP_ARGS(dev, ctx, va, access, type, queue, client, device_ns),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(u64, device_ns)
		__field(int, dev)
		__field(u32, ctx)
		__field(u16, queue)
		__field(u8, access)
		__field(u8, type)
		__field(u8, client)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->device_ns = device_ns;
		__entry->ctx = ctx;
		__entry->queue = queue;
		__entry->access = access;
		__entry->type = type;
		__entry->client = client;
	),
	TP_printk("dev=%d ctx=%u va=0x%llx access=%u type=%u queue=%u client=%u device_ns=%llu",
		  __entry->dev, __entry->ctx, __entry->va, __entry->access, __entry->type,
		  __entry->queue, __entry->client, __entry->device_ns)
);

TRACE_EVENT(gmemu_served,
	TP_PROTO(int dev, u32 ctx, u64 va, u32 access, int ret),
	TP_ARGS(dev, ctx, va, access, ret),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(int, dev)
		__field(u32, ctx)
		__field(u32, access)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->ctx = ctx;
		__entry->access = access;
		__entry->ret = ret;
	),
	TP_printk("dev=%d ctx=%u va=0x%llx access=%u gm_ret=%d",
		  __entry->dev, __entry->ctx, __entry->va, __entry->access, __entry->ret)
);

TRACE_EVENT(gmemu_access,
	TP_PROTO(int dev, u32 ctx, u64 va, u8 granule_log2, u32 count, u8 aperture),
	TP_ARGS(dev, ctx, va, granule_log2, count, aperture),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(int, dev)
		__field(u32, ctx)
		__field(u32, count)
		__field(u8, granule_log2)
		__field(u8, aperture)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->ctx = ctx;
		__entry->count = count;
		__entry->granule_log2 = granule_log2;
		__entry->aperture = aperture;
	),
	TP_printk("dev=%d ctx=%u va=0x%llx granule=0x%llx count=%u aperture=%s",
		  __entry->dev, __entry->ctx, __entry->va, 1ULL << __entry->granule_log2,
		  __entry->count,
		  __entry->aperture == GMEMU_ACNT_APERTURE_LOCAL ? "local" : "system")
);

TRACE_EVENT(gmemu_replay,
	TP_PROTO(int dev, bool tried),
	TP_ARGS(dev, tried),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(bool, tried)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tried = tried;
	),
	TP_printk("dev=%d wait=%d", __entry->dev, __entry->tried)
);

TRACE_EVENT(gmemu_cancel,
	TP_PROTO(int dev, u32 ctx, u64 va, u8 reason),
	TP_ARGS(dev, ctx, va, reason),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(int, dev)
		__field(u32, ctx)
		__field(u8, reason)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->ctx = ctx;
		__entry->reason = reason;
	),
	TP_printk("dev=%d ctx=%u va=0x%llx reason=%u", __entry->dev, __entry->ctx, __entry->va,
		  __entry->reason)
);

TRACE_EVENT(gmemu_inval,
	TP_PROTO(int dev, u32 ctx, u64 va, u64 size),
	TP_ARGS(dev, ctx, va, size),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(u64, size)
		__field(int, dev)
		__field(u32, ctx)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->va = va;
		__entry->size = size;
		__entry->ctx = ctx;
	),
	TP_printk("dev=%d ctx=%u va=0x%llx size=0x%llx", __entry->dev, __entry->ctx, __entry->va,
		  __entry->size)
);

#endif /* __GMEMU_TRACE_H__ */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE gmemu_trace
#include <trace/define_trace.h>
