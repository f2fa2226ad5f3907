// SPDX-License-Identifier: GPL-2.0-or-later
// The whole device without QEMU: the core with its harts, the real firmware image, and a
// minimal driver, in one process. User memory is a range of the rig's RAM that appears at
// user_va; its pages are mapped only when the device faults on them. With peer mode the
// firmware maps them: over the bus, or, where migrate() was called, as a copy in its DRAM.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmemu_core.h"
#include "gmemu_module.h"
#include "gmemu_regs.h"

class Rig {
public:
    static constexpr uint64_t user_va = 0x550000000000;
    static constexpr uint64_t page_size = 4096;
    static constexpr uint32_t ctx = 3;

    enum class Mode { plain, peer };

    // vlen: bits of the harts' vector registers; 0: none, and kernels are those without.
    explicit Rig(uint32_t cores, const std::string &firmware_file, Mode mode = Mode::plain, uint32_t vlen = 0);
    ~Rig();
    Rig(const Rig &) = delete;
    Rig &operator=(const Rig &) = delete;

    // User memory, zeroed, page-aligned if it is a page or more. The pointer and the
    // device VA of it.
    void *allocate(uint64_t bytes);
    template <class T> T *allocate_array(uint64_t n) { return static_cast<T *>(allocate(n * sizeof(T))); }
    uint64_t va(const void *pointer) const;
    void *pointer(uint64_t va) const;
    // From now on the page is not there for the device.
    void forbid(uint64_t va, gmemu_fault_reason reason);
    // Take a page's translation away again, as memory management would.
    void unmap(uint64_t va);

    // Peer mode: a fault in this memory moves the page to the device ...
    void migrate(const void *start, uint64_t bytes);
    // ... and this brings home what is there of it. The number of pages that were.
    uint64_t bring_home(const void *start, uint64_t bytes);
    // Take the access away; the content stays there. Is there any?
    bool keep(const void *start, uint64_t bytes);
    gmemu_msg peer(gmemu_msg_type type, uint64_t va = 0, uint64_t size = 0, uint32_t prot = 0, uint32_t flags = 0,
                   uint64_t bus = 0);
    uint64_t bus(const void *pointer) const;

    // Load an ELF made by gmemu-cc into user memory. Names and entries of its kernels.
    std::map<std::string, uint64_t> load_module(const std::string &file);

    uint64_t read(uint32_t reg, unsigned size = 4);
    void write(uint32_t reg, uint64_t value, unsigned size = 4);

    // Send a message and wait for its ACK.
    gmemu_msg call(gmemu_msg message);
    std::optional<gmemu_msg> wait_error(uint32_t queue);
    uint64_t completions() const { return completions_; }
    uint64_t faults() const { return faults_; }
    uint32_t violations() { return static_cast<uint32_t>(read(GMEMU_REG_CHECK_COUNT)); }
    std::string log();

    class Queue;

private:
    struct Aligned {
        void operator()(uint8_t *p) const;
    };

    static gmemu_host_ops host_ops();
    void *at_bus(uint64_t bus, uint64_t bytes) const;
    void boot(const std::string &firmware_file);
    void make_context();
    void shut_down();
    void map(uint64_t va);
    void map_by_peer(uint64_t va);
    uint32_t post(gmemu_msg message);
    gmemu_msg serve_until(uint32_t seq);
    uint64_t *leaf(uint64_t va, bool make);
    uint32_t command(uint32_t cmd, uint64_t va, uint64_t size, uint32_t context);
    void serve();
    bool serve_faults();
    bool serve_mailbox();

    const Mode mode_;
    std::unique_ptr<uint8_t, Aligned> ram_;
    gmemu_core *core_ = nullptr;
    uint64_t next_table_, next_user_;
    // Taken by the host operations, which the core calls from inside MMIO: nothing that
    // holds it does MMIO.
    std::mutex event_mutex_;
    std::condition_variable wake_;
    bool work_ = false, stop_ = false;
    std::string log_;
    std::mutex mutex_; // everything below, the page table and the command registers
    std::condition_variable message_;
    uint32_t h2f_put_ = 0, seq_ = 0;
    std::map<uint64_t, gmemu_fault_reason> forbidden_;
    std::vector<std::pair<uint64_t, uint64_t>> migrating_; // VAs
    // Held while a page moves: what is asked for next must fit the state it is in. The
    // server never waits for it, since its holder waits for the server.
    std::mutex moving_;
    std::map<uint32_t, gmemu_msg> acks_, errors_;
    std::atomic<uint64_t> completions_{0}, faults_{0};
    uint32_t fault_get_ = 0, f2h_get_ = 0; // of the server's thread
    std::thread server_;
};

// A user-mode queue with a ring of its own.
class Rig::Queue {
public:
    Queue(Rig &rig, uint32_t id, uint32_t ring_log2 = 5);
    ~Queue();
    Queue(const Queue &) = delete;
    Queue &operator=(const Queue &) = delete;

    // Fill in the packet's completion signal, submit it and ring.
    void submit(void *packet);
    // rows: dimension 1 of the grid, row_group of the work-group.
    template <class Args>
    void launch(uint64_t entry, const Args &args, uint32_t grid, uint32_t group = 1, uint32_t rows = 1,
                uint32_t row_group = 1)
    {
        launch_bytes(entry, &args, sizeof(args), grid, group, rows, row_group);
    }
    void launch_bytes(uint64_t entry, const void *args, size_t bytes, uint32_t grid, uint32_t group, uint32_t rows = 1,
                      uint32_t row_group = 1);
    void copy(const void *dst, const void *src, uint64_t bytes);
    void fill(const void *dst, uint64_t pattern, uint64_t bytes);
    // All packets complete within the time?
    bool wait(std::chrono::seconds limit = std::chrono::seconds(20));
    uint32_t id() const { return id_; }
    gmemu_signal *signal() { return signal_; }

private:
    Rig &rig_;
    uint32_t id_, ring_log2_;
    uint8_t *ring_;
    gmemu_queue_index *index_;
    gmemu_signal *signal_;
    uint64_t submitted_ = 0;
};
