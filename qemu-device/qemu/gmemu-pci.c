/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gmemu accelerator: what QEMU sees of it.
 *
 * Everything that makes up the device is in the core library (gmemu_core.h), which
 * knows nothing of QEMU. This file is a PCI function around it: BARs, MSI-X,
 * DMA, reset, run state, saved state. It is compiled twice, into a QEMU tree and into a
 * module for a stock QEMU (see gmemu-plugin.c), without a difference.
 *
 * Threads and locks. The core is thread-safe and has threads of its own, which
 * never take the BQL: they map and access guest RAM only, and raise interrupts
 * through a bitmap and a bottom half. MMIO arrives under the BQL; it is dropped
 * around calls into the core, because a register access may have to wait for
 * a hart.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/memory.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/qdev-properties.h"
#include "migration/qemu-file-types.h"
#include "migration/vmstate.h"
#include "qemu/timer.h"
#include "system/runstate.h"
#include "system/system.h"
#include "qapi/visitor.h"
#include "qobject/qobject.h"
#include "qobject/qjson.h"
#include "gmemu_core.h"
#include "gmemu_regs.h"
#ifdef GMEMU_PLUGIN
#include "gmemu-notrace.h"
#else
#include "trace/trace-hw_misc.h"
#endif

#define TYPE_GMEMU "gmemu"

/* Extended capabilities */
#define GMEMU_AER_OFFSET PCI_CONFIG_SPACE_SIZE
#define GMEMU_REBAR_OFFSET (GMEMU_AER_OFFSET + PCI_ERR_SIZEOF) /* with coherent=on */
#define GMEMU_REBAR_SIZEOF 12
#define GMEMU_REBAR_MIN (1 * MiB) /* the smallest size the capability knows */
OBJECT_DECLARE_TYPE(GmemuState, GmemuClass, GMEMU)

struct GmemuClass {
    PCIDeviceClass parent_class;
    DeviceRealize parent_realize;
};

/* A vIOMMU window of our address space, watched for invalidations. */
typedef struct GmemuIommu {
    IOMMUNotifier notifier;
    GmemuState *s;
    MemoryRegion *mr;
    hwaddr offset; /* of the region in our address space */
    QLIST_ENTRY(GmemuIommu) next;
} GmemuIommu;

typedef struct GmemuRange {
    hwaddr start;
    hwaddr len;
} GmemuRange;

struct GmemuState {
    PCIDevice parent_obj;

    /* properties */
    uint32_t cores;
    uint64_t dram_size;
    char *check;
    uint64_t chaos_seed;
    char *inject;
    char *trace;
    bool replayable;
    bool coherent;
    bool peer;
    uint32_t vlen;

    struct gmemu_core *core; /* NULL once unplugged; written under the BQL */
    unsigned int in_mmio; /* MMIO handlers inside the core, atomic */
    MemoryRegion bar0;
    MemoryRegion dram; /* with coherent=on */
    MemoryRegion bar2; /* as much of it as the BAR shows */
    QEMUBH *msix_bh;
    MSITriggerFunc *msi_trigger; /* PCI's */
    uint32_t msix_pending; /* one bit per vector, atomic */
    bool bus_master; /* as last told to the core */
    bool quiesced; /* because the VM is stopped */
    bool asleep; /* in D3hot, likewise quiesced */
    VMChangeStateEntry *run_state;
    Notifier exit; /* of QEMU */
    MemoryListener listener;
    GArray *stale; /* of GmemuRange: RAM that left the address space, revoked at commit */
    QLIST_HEAD(, GmemuIommu) iommus;
};

/*
 * Run a statement without the BQL. Not in a place where QEMU is in the middle of
 * something, such as a memory transaction.
 */
#define WITHOUT_BQL(statement) \
    do { \
        bool locked_ = bql_locked(); \
        if (locked_) { \
            bql_unlock(); \
        } \
        statement; \
        if (locked_) { \
            bql_lock(); \
        } \
    } while (0)

static const char *gmemu_id(GmemuState *s)
{
    return DEVICE(s)->id ? DEVICE(s)->id : TYPE_GMEMU;
}

/* DMA to anything but memory is refused: it would need the BQL, and no kernel means it. */
static const MemTxAttrs gmemu_dma_attrs = { .memory = 1 };

/* ---------------------------------------------------------- host operations -- */

static bool gmemu_dma_read(void *opaque, uint64_t bus, void *buf, uint64_t len)
{
    GmemuState *s = opaque;
    bool ok = address_space_read_full(pci_get_address_space(PCI_DEVICE(s)), bus,
                                      gmemu_dma_attrs, buf, len) == MEMTX_OK;

    trace_gmemu_dma_read(gmemu_id(s), bus, len, ok);
    return ok;
}

static bool gmemu_dma_write(void *opaque, uint64_t bus, const void *buf, uint64_t len)
{
    GmemuState *s = opaque;
    bool ok = address_space_write(pci_get_address_space(PCI_DEVICE(s)), bus,
                                  gmemu_dma_attrs, buf, len) == MEMTX_OK;

    trace_gmemu_dma_write(gmemu_id(s), bus, len, ok);
    return ok;
}

/*
 * The address space has no bounce buffers (gmemu_realize), so what is mapped is RAM
 * itself. The mapping holds a reference on its memory region, which keeps the RAM
 * even if it is unplugged before the core has let go.
 */
static void *gmemu_dma_map(void *opaque, uint64_t bus, uint64_t *len, bool write)
{
    GmemuState *s = opaque;
    hwaddr size = *len;
    void *host;

    host = address_space_map(pci_get_address_space(PCI_DEVICE(s)), bus, &size,
                             write, gmemu_dma_attrs);
    *len = host ? size : 0;
    trace_gmemu_dma_map(gmemu_id(s), bus, *len, write);
    return host;
}

/* Marks what was written dirty, and drops code QEMU has translated from there. */
static void gmemu_dma_unmap(void *opaque, void *host, uint64_t len, bool write,
                            uint64_t written)
{
    GmemuState *s = opaque;

    trace_gmemu_dma_unmap(gmemu_id(s), len, write, written);
    address_space_unmap(pci_get_address_space(PCI_DEVICE(s)), host, len, write, written);
}

static void gmemu_msix(void *opaque, unsigned int vector)
{
    GmemuState *s = opaque;

    trace_gmemu_msix(gmemu_id(s), vector);
    qatomic_or(&s->msix_pending, 1u << vector);
    qemu_bh_schedule(s->msix_bh);
}

/*
 * While the VM is stopped nothing is delivered: the interrupt controller may have been
 * saved already. Resuming schedules this again.
 */
static void gmemu_msix_bh(void *opaque)
{
    GmemuState *s = opaque;
    uint32_t pending;

    if (s->quiesced) {
        return;
    }
    pending = qatomic_xchg(&s->msix_pending, 0);
    while (pending) {
        unsigned int vector = ctz32(pending);

        pending &= pending - 1;
        trace_gmemu_msix_notify(gmemu_id(s), vector);
        msix_notify(PCI_DEVICE(s), vector);
    }
}

/*
 * A message is a write to wherever its address says, also one that PCI sends by itself when
 * a vector is unmasked. One to the device itself would come back in the middle of a bottom
 * half or of an access to the table; on real hardware it would not come back at all.
 */
static void gmemu_msi_trigger(PCIDevice *pdev, MSIMessage message)
{
    GmemuState *s = GMEMU(pdev);
    hwaddr offset, len = sizeof(message.data);
    MemoryRegion *mr;

    WITH_RCU_READ_LOCK_GUARD() {
        mr = address_space_translate(&pdev->bus_master_as, message.address, &offset, &len, true,
                                     MEMTXATTRS_UNSPECIFIED);
        if (mr->owner == OBJECT(s)) {
            qemu_log_mask(LOG_GUEST_ERROR,
                          "gmemu: an MSI-X message to 0x%" PRIx64 ", which is the device itself, "
                          "is not sent\n", message.address);
            return;
        }
    }
    s->msi_trigger(pdev, message);
}

static void gmemu_log(void *opaque, enum gmemu_log_level level, const char *text)
{
    /* The core may say its name itself. */
    if (g_str_has_prefix(text, "gmemu: ")) {
        text += strlen("gmemu: ");
    }
    switch (level) {
    case GMEMU_LOG_ERROR:
        /* The launcher knows a dead device by these words. */
        error_report("gmemu: device failed: %s", text);
        break;
    case GMEMU_LOG_GUEST_ERROR:
        if (qemu_loglevel_mask(LOG_GUEST_ERROR)) {
            qemu_log("gmemu: %s\n", text);
        } else {
            warn_report("gmemu: %s", text);
        }
        break;
    case GMEMU_LOG_INFO:
        info_report("gmemu: %s", text);
        break;
    case GMEMU_LOG_TRACE:
        qemu_log_mask(LOG_TRACE, "gmemu: %s\n", text);
        break;
    case GMEMU_LOG_WARNING:
        warn_report("gmemu: %s", text);
        break;
    }
}

/* Signals belong to QEMU's main thread. */
static void gmemu_block_signals(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, old);
}

static void gmemu_thread_enter(void *opaque, const char *name)
{
    gmemu_block_signals(NULL);
    rcu_register_thread();
}

static void gmemu_thread_exit(void *opaque)
{
    rcu_unregister_thread();
}

/* CLOCK_MONOTONIC, as QEMU's own traces have it. */
static uint64_t gmemu_clock_ns(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

static void gmemu_event(void *opaque, enum gmemu_event event, uint64_t a, uint64_t b, uint64_t c,
                        uint64_t d)
{
    GmemuState *s = opaque;

    switch (event) {
    case GMEMU_EVENT_FAULT:
        trace_gmemu_fault(gmemu_id(s), a, b, c, d);
        break;
    case GMEMU_EVENT_FAULT_END:
        trace_gmemu_fault_end(gmemu_id(s), a, b);
        break;
    case GMEMU_EVENT_JOB:
        trace_gmemu_job(gmemu_id(s), a, b, c, d);
        break;
    case GMEMU_EVENT_JOB_END:
        trace_gmemu_job_end(gmemu_id(s), a, b, c);
        break;
    case GMEMU_EVENT_INVALIDATE:
        trace_gmemu_invalidate(gmemu_id(s), a, b, c, d);
        break;
    case GMEMU_EVENT_INVALIDATE_END:
        trace_gmemu_invalidate_end(gmemu_id(s), a);
        break;
    }
}

static const struct gmemu_host_ops gmemu_host_ops = {
    .abi = GMEMU_CORE_ABI,
    .dma_read = gmemu_dma_read,
    .dma_write = gmemu_dma_write,
    .dma_map = gmemu_dma_map,
    .dma_unmap = gmemu_dma_unmap,
    .msix = gmemu_msix,
    .log = gmemu_log,
    .thread_enter = gmemu_thread_enter,
    .thread_exit = gmemu_thread_exit,
    .clock_ns = gmemu_clock_ns,
    .event = gmemu_event,
};

/* --------------------------------------------------------------------- MMIO -- */

/* A CPU can still arrive here, or be on its way, when the device is being unplugged. */
static struct gmemu_core *gmemu_mmio_begin(GmemuState *s)
{
    if (s->core) {
        qatomic_inc(&s->in_mmio);
    }
    return s->core;
}

static void gmemu_mmio_end(GmemuState *s)
{
    qatomic_dec(&s->in_mmio);
}

static uint64_t gmemu_mmio_read(void *opaque, hwaddr addr, unsigned int size)
{
    GmemuState *s = opaque;
    struct gmemu_core *core = gmemu_mmio_begin(s);
    uint64_t value;

    if (!core) {
        return UINT64_MAX;
    }
    WITHOUT_BQL(value = gmemu_core_mmio_read(core, addr, size); gmemu_mmio_end(s));
    trace_gmemu_mmio_read(gmemu_id(s), addr, size, value);
    return value;
}

static void gmemu_mmio_write(void *opaque, hwaddr addr, uint64_t value, unsigned int size)
{
    GmemuState *s = opaque;
    struct gmemu_core *core = gmemu_mmio_begin(s);

    trace_gmemu_mmio_write(gmemu_id(s), addr, size, value);
    if (core) {
        WITHOUT_BQL(gmemu_core_mmio_write(core, addr, value, size); gmemu_mmio_end(s));
    }
}

/* After this no CPU is in the core and none will come. */
static struct gmemu_core *gmemu_mmio_shutdown(GmemuState *s)
{
    struct gmemu_core *core = s->core;

    s->core = NULL;
    while (qatomic_read(&s->in_mmio)) {
        WITHOUT_BQL(g_usleep(50));
    }
    return core;
}

static const MemoryRegionOps gmemu_mmio_ops = {
    .read = gmemu_mmio_read,
    .write = gmemu_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    /* The core judges sizes and alignment itself: misuse must reach its checker. */
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/* ----------------------------------------- changes to what DMA addresses mean -- */

static void gmemu_iommu_unmap(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    GmemuIommu *iommu = container_of(n, GmemuIommu, notifier);

    trace_gmemu_revoke(gmemu_id(iommu->s), entry->iova + iommu->offset, entry->addr_mask + 1);
    gmemu_core_dma_revoke(iommu->s->core, entry->iova + iommu->offset, entry->addr_mask + 1);
}

static void gmemu_region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    GmemuState *s = container_of(listener, GmemuState, listener);
    hwaddr first = section->offset_within_region;
    GmemuIommu *iommu;
    int index;

    if (!memory_region_is_iommu(section->mr)) {
        return;
    }
    iommu = g_new0(GmemuIommu, 1);
    iommu->s = s;
    iommu->mr = section->mr;
    iommu->offset = section->offset_within_address_space - first;
    index = memory_region_iommu_attrs_to_index(IOMMU_MEMORY_REGION(section->mr), gmemu_dma_attrs);
    iommu_notifier_init(&iommu->notifier, gmemu_iommu_unmap, IOMMU_NOTIFIER_UNMAP, first,
                        first + int128_get64(int128_sub(section->size, int128_one())), index);
    memory_region_register_iommu_notifier(section->mr, &iommu->notifier, &error_fatal);
    QLIST_INSERT_HEAD(&s->iommus, iommu, next);
}

/*
 * The old memory map is in force until after this; another thread could still map
 * from it. So the range is only noted here and revoked at commit.
 */
static void gmemu_region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    GmemuState *s = container_of(listener, GmemuState, listener);
    bool is_iommu = memory_region_is_iommu(section->mr);
    GmemuIommu *iommu, *next;
    GmemuRange range;

    QLIST_FOREACH_SAFE(iommu, &s->iommus, next, next) {
        if (iommu->mr == section->mr &&
            iommu->notifier.start == section->offset_within_region) {
            memory_region_unregister_iommu_notifier(iommu->mr, &iommu->notifier);
            QLIST_REMOVE(iommu, next);
            g_free(iommu);
        }
    }
    if (!is_iommu && !memory_region_is_ram(section->mr)) {
        return;
    }
    range.start = section->offset_within_address_space;
    range.len = int128_gethi(section->size) ? UINT64_MAX : int128_getlo(section->size);
    g_array_append_val(s->stale, range);
}

static void gmemu_commit(MemoryListener *listener)
{
    GmemuState *s = container_of(listener, GmemuState, listener);
    unsigned int i;

    for (i = 0; i < s->stale->len; i++) {
        GmemuRange *range = &g_array_index(s->stale, GmemuRange, i);

        trace_gmemu_revoke(gmemu_id(s), range->start, range->len);
        gmemu_core_dma_revoke(s->core, range->start, range->len);
    }
    g_array_set_size(s->stale, 0);
}

/* ------------------------------------------------------- reset and run state -- */

static void gmemu_set_bus_master(GmemuState *s, bool enabled)
{
    if (enabled != s->bus_master) {
        s->bus_master = enabled;
        trace_gmemu_bus_master(gmemu_id(s), enabled);
        WITHOUT_BQL(gmemu_core_set_bus_master(s->core, enabled));
    }
}

/* Also without a write by the guest: reset clears the bit. */
static void gmemu_update_bus_master(GmemuState *s)
{
    gmemu_set_bus_master(s, pci_get_word(PCI_DEVICE(s)->config + PCI_COMMAND) &
                            PCI_COMMAND_MASTER);
}

/*
 * In D3hot all stands still and keeps its state (No_Soft_Reset); PCI has taken the BARs
 * off the bus. No interrupt is sent, either: whoever would cause one is stopped.
 */
static void gmemu_update_power(GmemuState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    bool asleep = pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL) &
                  PCI_PM_CTRL_STATE_MASK;

    if (asleep == s->asleep) {
        return;
    }
    s->asleep = asleep;
    trace_gmemu_sleep(gmemu_id(s), asleep);
    if (asleep) {
        WITHOUT_BQL(gmemu_core_quiesce(s->core));
    } else {
        gmemu_core_resume(s->core);
    }
}

/* ------------------------------------------------------------ Resizable BAR -- */

static void gmemu_rebar_init(GmemuState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint8_t *cap = pdev->config + GMEMU_REBAR_OFFSET;
    uint32_t sizes = 0;

    /* Bit 4 is 1 MiB. */
    for (uint64_t size = GMEMU_REBAR_MIN; size <= s->dram_size; size *= 2) {
        sizes |= 1u << (4 + ctz64(size / GMEMU_REBAR_MIN));
    }
    pcie_add_capability(pdev, PCI_EXT_CAP_ID_REBAR, 1, GMEMU_REBAR_OFFSET, GMEMU_REBAR_SIZEOF);
    pci_set_long(cap + PCI_REBAR_CAP, sizes & PCI_REBAR_CAP_SIZES);
    pci_set_long(cap + PCI_REBAR_CTRL,
                 GMEMU_BAR_DRAM | 1 << PCI_REBAR_CTRL_NBAR_SHIFT |
                 ctz64(s->dram_size / GMEMU_REBAR_MIN) << PCI_REBAR_CTRL_BAR_SHIFT);
    pci_set_long(pdev->wmask + GMEMU_REBAR_OFFSET + PCI_REBAR_CTRL, PCI_REBAR_CTRL_BAR_SIZE);
}

static uint64_t gmemu_rebar_size(GmemuState *s)
{
    uint32_t ctrl = pci_get_long(PCI_DEVICE(s)->config + GMEMU_REBAR_OFFSET + PCI_REBAR_CTRL);

    return GMEMU_REBAR_MIN << ((ctrl & PCI_REBAR_CTRL_BAR_SIZE) >> PCI_REBAR_CTRL_BAR_SHIFT);
}

static void gmemu_rebar_set(GmemuState *s, uint64_t size)
{
    uint8_t *ctrl = PCI_DEVICE(s)->config + GMEMU_REBAR_OFFSET + PCI_REBAR_CTRL;

    pci_set_long(ctrl, (pci_get_long(ctrl) & ~PCI_REBAR_CTRL_BAR_SIZE) |
                       ctz64(size / GMEMU_REBAR_MIN) << PCI_REBAR_CTRL_BAR_SHIFT);
}

/* The BAR becomes what the control register says. Whoever calls has it mapped anew. */
static void gmemu_rebar_apply(GmemuState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint64_t size = gmemu_rebar_size(s);
    unsigned int at = pci_bar(pdev, GMEMU_BAR_DRAM);
    uint64_t flags = pci_get_quad(pdev->config + at) & ~PCI_BASE_ADDRESS_MEM_MASK;

    pdev->io_regions[GMEMU_BAR_DRAM].size = size;
    pci_set_quad(pdev->wmask + at, ~(size - 1));
    pci_set_quad(pdev->config + at, (pci_get_quad(pdev->config + at) & ~(size - 1)) | flags);
    memory_region_set_size(&s->bar2, size);
}

static void gmemu_rebar_write(GmemuState *s, uint64_t before)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint64_t size = gmemu_rebar_size(s);

    if (size == before) {
        return;
    }
    if (pci_get_word(pdev->config + PCI_COMMAND) & PCI_COMMAND_MEMORY || size > s->dram_size) {
        qemu_log_mask(LOG_GUEST_ERROR, "gmemu: BAR2 keeps its %" PRIu64 " MiB: %s\n", before / MiB,
                      size > s->dram_size ? "the size written is not among those it can have" :
                                            "memory space is enabled");
        gmemu_rebar_set(s, before);
        return;
    }
    gmemu_rebar_apply(s);
}

static void gmemu_rebar_reset(GmemuState *s)
{
    gmemu_rebar_set(s, s->dram_size);
    gmemu_rebar_apply(s);
}

static void gmemu_config_write(PCIDevice *pdev, uint32_t addr, uint32_t value, int len)
{
    GmemuState *s = GMEMU(pdev);
    uint64_t bar2_size = s->coherent ? gmemu_rebar_size(s) : 0;

    /* The core stops before PCI does: DMA that then fails would be the guest's mistake. */
    if (range_covers_byte(addr, len, PCI_COMMAND) &&
        !((value >> 8 * (PCI_COMMAND - addr)) & PCI_COMMAND_MASTER)) {
        gmemu_set_bus_master(s, false);
    }
    pci_default_write_config(pdev, addr, value, len);
    pcie_cap_flr_write_config(pdev, addr, value, len);
    pcie_aer_write_config(pdev, addr, value, len);
    if (s->coherent) {
        gmemu_rebar_write(s, bar2_size);
    }
    gmemu_update_power(s);
    gmemu_update_bus_master(s);
}

/* FLR, a secondary bus reset and a system reset all come here. */
static void gmemu_reset(DeviceState *dev)
{
    GmemuState *s = GMEMU(dev);

    trace_gmemu_reset(gmemu_id(s));
    WITHOUT_BQL(gmemu_core_reset(s->core));
    pcie_cap_deverr_reset(PCI_DEVICE(s));
    /* To D0, which PCI leaves to the device. */
    pci_word_test_and_clear_mask(PCI_DEVICE(s)->config + PCI_DEVICE(s)->pm_cap + PCI_PM_CTRL,
                                 PCI_PM_CTRL_STATE_MASK);
    gmemu_update_power(s);
    /* Threads that raised one of these have stopped; a new life starts without it. */
    qatomic_set(&s->msix_pending, 0);
    msix_reset(PCI_DEVICE(s));
    if (s->coherent) {
        gmemu_rebar_reset(s);
    }
    /* PCI clears the command register after the device's own reset. */
    if (s->bus_master) {
        s->bus_master = false;
        WITHOUT_BQL(gmemu_core_set_bus_master(s->core, false));
    }
}

/*
 * A stopped device has no memory mapped: what it has written to guest RAM is marked
 * dirty by then, which is before a live migration looks for dirty pages the last time.
 * Its own memory it writes unseen, so all of that is dirty.
 */
static void gmemu_run_state(void *opaque, bool running, RunState state)
{
    GmemuState *s = opaque;

    if (running == !s->quiesced) {
        return;
    }
    s->quiesced = !running;
    trace_gmemu_run_state(gmemu_id(s), running);
    if (running) {
        gmemu_core_resume(s->core);
        qemu_bh_schedule(s->msix_bh);
    } else {
        WITHOUT_BQL(gmemu_core_quiesce(s->core));
        if (s->coherent) {
            memory_region_set_dirty(&s->dram, 0, s->dram_size);
        }
    }
}

/* -------------------------------------------------------------- saved state -- */

/* The core's state is bytes that only the core understands, behind their number. */
static int gmemu_put_core(QEMUFile *f, void *pv, size_t unused, const VMStateField *field,
                          JSONWriter *vmdesc)
{
    GmemuState *s = pv;
    const char *reason = NULL;
    size_t size = 0;
    void *state = gmemu_core_save(s->core, &size, &reason);

    if (!state) {
        error_report("gmemu: the state cannot be saved: %s", reason);
        return -EINVAL;
    }
    qemu_put_be64(f, size);
    qemu_put_buffer(f, state, size);
    gmemu_core_free_state(state);
    return 0;
}

static int gmemu_get_core(QEMUFile *f, void *pv, size_t unused, const VMStateField *field)
{
    GmemuState *s = pv;
    uint64_t size = qemu_get_be64(f);
    g_autofree uint8_t *state = g_try_malloc(size);
    const char *reason = NULL;

    if (size && !state) {
        error_report("gmemu: no memory for a saved state of %" PRIu64 " bytes", size);
        return -ENOMEM;
    }
    if (qemu_get_buffer(f, state, size) != size) {
        error_report("gmemu: the saved state ends before its %" PRIu64 " bytes do", size);
        return -EINVAL;
    }
    if (!gmemu_core_load(s->core, state, size, &reason)) {
        error_report("gmemu: %s", reason);
        return -EINVAL;
    }
    return 0;
}

static const VMStateInfo gmemu_core_info = {
    .name = "gmemu core",
    .get = gmemu_get_core,
    .put = gmemu_put_core,
};

/* PCI refuses a state with a BAR at an address that the BAR here cannot have; it can, resized. */
static int gmemu_pre_load(void *opaque)
{
    GmemuState *s = opaque;

    if (s->coherent) {
        gmemu_rebar_set(s, GMEMU_REBAR_MIN);
        gmemu_rebar_apply(s);
    }
    return 0;
}

static int gmemu_post_load(void *opaque, int version_id)
{
    GmemuState *s = opaque;

    if (s->coherent) {
        PCIDevice *pdev = PCI_DEVICE(s);

        if (gmemu_rebar_size(s) > s->dram_size) {
            error_report("gmemu: the saved state has a BAR2 that is larger than local DRAM");
            return -EINVAL;
        }
        gmemu_rebar_apply(s);
        /* Maps it. */
        pci_default_write_config(pdev, PCI_COMMAND, pci_get_word(pdev->config + PCI_COMMAND), 2);
    }

    if (s->msix_pending >> GMEMU_NUM_VECTORS) {
        error_report("gmemu: the saved state has interrupts pending that the device does not have");
        return -EINVAL;
    }
    gmemu_update_power(s);
    gmemu_update_bus_master(s);
    return 0;
}

static const VMStateDescription gmemu_vmstate = {
    .name = "gmemu",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = gmemu_pre_load,
    .post_load = gmemu_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, GmemuState),
        VMSTATE_STRUCT(parent_obj.exp.aer_log, GmemuState, 0, vmstate_pcie_aer_log, PCIEAERLog),
        VMSTATE_MSIX(parent_obj, GmemuState),
        VMSTATE_UINT32(msix_pending, GmemuState),
        { .name = "core", .info = &gmemu_core_info, .flags = VMS_SINGLE },
        VMSTATE_END_OF_LIST()
    },
};

/* ------------------------------------------------------------ configuration -- */

static bool gmemu_parse_check(const char *text, uint32_t *mode, Error **errp)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } modes[] = {
        { "off", GMEMU_CHECK_OFF },
        { "log", GMEMU_CHECK_LOG },
        { "fatal", GMEMU_CHECK_FATAL },
    };
    size_t i;

    if (!text) {
        *mode = GMEMU_CHECK_LOG;
        return true;
    }
    for (i = 0; i < ARRAY_SIZE(modes); i++) {
        if (!strcmp(text, modes[i].name)) {
            *mode = modes[i].mode;
            return true;
        }
    }
    error_setg(errp, "gmemu: check=%s is not known; use off, log or fatal", text);
    return false;
}

static bool gmemu_create_core(GmemuState *s, Error **errp)
{
    struct gmemu_config config = {
        .cores = s->cores,
        .dram_size = s->dram_size,
        .chaos_seed = s->chaos_seed,
        .replayable = s->replayable,
        .peer = s->peer,
        .vlen = s->vlen,
        .inject = s->inject,
        .trace = s->trace,
    };
    const char *reason = NULL;
    sigset_t signals;

    if (!gmemu_parse_check(s->check, &config.check, errp)) {
        return false;
    }
    if (s->coherent) {
        /*
         * The region owns the memory, and outlives the core: a CPU may use its
         * translation of the BAR for a moment after unplug.
         */
        if (!is_power_of_2(s->dram_size)) {
            error_setg(errp, "gmemu: with coherent=on, dram is the size of a BAR and must be a "
                             "power of two, e.g. dram=256M");
            return false;
        }
        if (!memory_region_init_ram_nomigrate(&s->dram, OBJECT(s), "gmemu-dram", s->dram_size,
                                              errp)) {
            return false;
        }
        config.dram = memory_region_get_ram_ptr(&s->dram);
    }
    /* Threads of the core inherit the mask, so that no signal hits them while young. */
    gmemu_block_signals(&signals);
    s->core = gmemu_core_create(&config, &gmemu_host_ops, s, &reason);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    if (!s->core) {
        error_setg(errp, "gmemu: %s", reason ? reason : "the device core did not start");
        return false;
    }
    return true;
}

/* QEMU ends without unplugging anything. */
static void gmemu_qemu_exits(Notifier *notifier, void *data)
{
    GmemuState *s = container_of(notifier, GmemuState, exit);

    gmemu_core_end_trace(s->core);
}

static void gmemu_realize(PCIDevice *pdev, Error **errp)
{
    GmemuState *s = GMEMU(pdev);

    pci_config_set_interrupt_pin(pdev->config, 0);
    if (pci_pm_init(pdev, 0, errp) < 0) {
        return;
    }
    pci_set_word(pdev->config + pdev->pm_cap + PCI_PM_PMC, 3); /* version 1.2, no PME */
    pci_set_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + pdev->pm_cap + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    if (pcie_endpoint_cap_init(pdev, 0) < 0) {
        error_setg(errp, "gmemu: no room for the PCI Express capability");
        return;
    }
    pcie_cap_flr_init(pdev);
    pcie_cap_deverr_init(pdev);
    if (pcie_aer_init(pdev, PCI_ERR_VER, GMEMU_AER_OFFSET, PCI_ERR_SIZEOF, errp) < 0) {
        pcie_cap_exit(pdev);
        return;
    }
    if (msix_init_exclusive_bar(pdev, GMEMU_NUM_VECTORS, GMEMU_BAR_MSIX, errp)) {
        pcie_aer_exit(pdev);
        pcie_cap_exit(pdev);
        return;
    }
    for (unsigned int vector = 0; vector < GMEMU_NUM_VECTORS; vector++) {
        msix_vector_use(pdev, vector);
    }
    s->msix_bh = qemu_bh_new_guarded(gmemu_msix_bh, s, &DEVICE(s)->mem_reentrancy_guard);
    if (!gmemu_create_core(s, errp)) {
        goto no_core;
    }

    memory_region_init_io(&s->bar0, OBJECT(s), &gmemu_mmio_ops, s, "gmemu-regs", GMEMU_BAR0_SIZE);
    /*
     * The guard takes an access by a second CPU, while the BQL is dropped for the first,
     * for a device that accesses itself. Neither DMA nor an MSI-X message does that here.
     */
    s->bar0.disable_reentrancy_guard = true;
    pci_register_bar(pdev, GMEMU_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64, &s->bar0);

    if (s->coherent) {
        memory_region_init(&s->bar2, OBJECT(s), "gmemu-dram-bar", s->dram_size);
        memory_region_add_subregion(&s->bar2, 0, &s->dram);
        gmemu_rebar_init(s);
        pci_register_bar(pdev, GMEMU_BAR_DRAM,
                         PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64 |
                         PCI_BASE_ADDRESS_MEM_PREFETCH, &s->bar2);
        vmstate_register_ram(&s->dram, DEVICE(s));
    }

    /* Without bounce buffers address_space_map() gives RAM or nothing. */
    pci_get_address_space(pdev)->max_bounce_buffer_size = 0;
    s->stale = g_array_new(false, false, sizeof(GmemuRange));
    QLIST_INIT(&s->iommus);
    s->listener = (MemoryListener) {
        .name = "gmemu",
        .region_add = gmemu_region_add,
        .region_del = gmemu_region_del,
        .commit = gmemu_commit,
    };
    memory_listener_register(&s->listener, pci_get_address_space(pdev));
    gmemu_core_set_bus_master(s->core, false);
    s->run_state = qdev_add_vm_change_state_handler(DEVICE(s), gmemu_run_state, s);
    gmemu_run_state(s, runstate_is_running(), runstate_get());
    s->exit.notify = gmemu_qemu_exits;
    qemu_add_exit_notifier(&s->exit);
    return;

no_core:
    qemu_bh_delete(s->msix_bh);
    msix_uninit_exclusive_bar(pdev);
    pcie_aer_exit(pdev);
    pcie_cap_exit(pdev);
}

static void gmemu_exit(PCIDevice *pdev)
{
    GmemuState *s = GMEMU(pdev);
    struct gmemu_core *core;

    qemu_remove_exit_notifier(&s->exit);
    qemu_del_vm_change_state_handler(s->run_state);
    memory_listener_unregister(&s->listener);
    g_array_free(s->stale, true);
    core = gmemu_mmio_shutdown(s);
    WITHOUT_BQL(gmemu_core_destroy(core));
    if (s->coherent) {
        vmstate_unregister_ram(&s->dram, DEVICE(s));
    }
    qemu_bh_delete(s->msix_bh);
    msix_uninit_exclusive_bar(pdev);
    pcie_aer_exit(pdev);
    pcie_cap_exit(pdev);
}

/* ---------------------------------------------------------------- questions -- */

/* Properties that can only be read: qom-get gives what the device is doing. */
static const struct GmemuQuery {
    const char *name;
    enum gmemu_query what;
    const char *description;
} gmemu_queries[] = {
    { "contexts", GMEMU_QUERY_CONTEXTS, "Contexts: their tables, and who uses them (read-only)" },
    { "tlbs", GMEMU_QUERY_TLBS, "Translations that the TLBs hold (read-only)" },
    { "page-tables", GMEMU_QUERY_PAGE_TABLES, "What the page tables of all contexts map (read-only)" },
    { "rings", GMEMU_QUERY_RINGS, "Rings, and faults that wait for an answer (read-only)" },
    { "harts", GMEMU_QUERY_HARTS, "What each hart does (read-only)" },
};

static void gmemu_get_query(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    GmemuState *s = GMEMU(obj);
    const struct GmemuQuery *query = opaque;
    QObject *answer;
    char *text;

    if (!s->core) {
        error_setg(errp, "gmemu: there is no device to ask");
        return;
    }
    trace_gmemu_query(gmemu_id(s), query->name);
    text = gmemu_core_query(s->core, query->what);
    if (!text) {
        error_setg(errp, "gmemu: no memory for an answer");
        return;
    }
    answer = qobject_from_json(text, errp);
    gmemu_core_free_text(text);
    if (answer) {
        visit_type_any(v, name, &answer, errp);
        qobject_unref(answer);
    }
}

static void gmemu_add_queries(ObjectClass *klass)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(gmemu_queries); i++) {
        object_class_property_add(klass, gmemu_queries[i].name, "any", gmemu_get_query, NULL, NULL,
                                  (void *)&gmemu_queries[i]);
        object_class_property_set_description(klass, gmemu_queries[i].name,
                                              gmemu_queries[i].description);
    }
}

static const Property gmemu_properties[] = {
    DEFINE_PROP_UINT32("cores", GmemuState, cores, 4),
    DEFINE_PROP_SIZE("dram", GmemuState, dram_size, 256 * MiB),
    DEFINE_PROP_STRING("check", GmemuState, check),
    DEFINE_PROP_UINT64("chaos", GmemuState, chaos_seed, 0),
    DEFINE_PROP_STRING("inject", GmemuState, inject),
    DEFINE_PROP_STRING("trace", GmemuState, trace),
    DEFINE_PROP_BOOL("replayable", GmemuState, replayable, true),
    DEFINE_PROP_BOOL("coherent", GmemuState, coherent, false),
    DEFINE_PROP_BOOL("peer", GmemuState, peer, false),
    DEFINE_PROP_UINT32("vlen", GmemuState, vlen, 1024),
};

/* PCI sets its msi_trigger once the device proper is there, so ours goes in after that. */
static void gmemu_qdev_realize(DeviceState *dev, Error **errp)
{
    GmemuState *s = GMEMU(dev);
    Error *error = NULL;

    GMEMU_GET_CLASS(dev)->parent_realize(dev, &error);
    if (error) {
        error_propagate(errp, error);
        return;
    }
    s->msi_trigger = PCI_DEVICE(s)->msi_trigger;
    PCI_DEVICE(s)->msi_trigger = gmemu_msi_trigger;
}

static void gmemu_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = gmemu_realize;
    pc->exit = gmemu_exit;
    pc->config_write = gmemu_config_write;
    pc->vendor_id = GMEMU_PCI_VENDOR_ID;
    pc->device_id = GMEMU_PCI_DEVICE_ID;
    pc->revision = GMEMU_PCI_REVISION;
    pc->class_id = GMEMU_PCI_CLASS;
    dc->desc = "gmemu accelerator with replayable page faults";
    dc->vmsd = &gmemu_vmstate;
    device_class_set_parent_realize(dc, gmemu_qdev_realize, &GMEMU_CLASS(klass)->parent_realize);
    device_class_set_legacy_reset(dc, gmemu_reset);
    device_class_set_props(dc, gmemu_properties);
    gmemu_add_queries(klass);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo gmemu_types[] = {
    {
        .name = TYPE_GMEMU,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(GmemuState),
        .class_size = sizeof(GmemuClass),
        .class_init = gmemu_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { }
        },
    },
};

/* As a module: called by gmemu-plugin.c; DEFINE_TYPES would come too late there. */
__attribute__((visibility("default"))) void gmemu_register_types(void);

void gmemu_register_types(void)
{
    type_register_static_array(gmemu_types, ARRAY_SIZE(gmemu_types));
}

#ifndef GMEMU_PLUGIN
type_init(gmemu_register_types)
#endif
