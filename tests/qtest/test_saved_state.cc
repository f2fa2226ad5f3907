/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device that is saved in one QEMU and loaded in another. */
#include "gmemu_regs.h"
#include "qtest_machine.h"
#include "software.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unistd.h>
#include <utility>

using namespace gmemu::qtest;

namespace {

constexpr uint64_t kLocal = 8 << 20; /* offset in local DRAM */
constexpr uint64_t kSize = 64 << 10;
constexpr uint32_t kNoRegister = 0xff8;
constexpr uint32_t kErrorMessage = 0x4711;

class StateFile {
public:
    StateFile()
    {
        char name[] = "/tmp/gmemu-state-XXXXXX";
        const int fd = mkstemp(name);

        if (fd < 0)
            throw std::runtime_error("mkstemp");
        close(fd);
        path_ = name;
    }
    ~StateFile() { unlink(path_.c_str()); }
    StateFile(const StateFile &) = delete;
    StateFile &operator=(const StateFile &) = delete;

    Arguments incoming() const { return {"-incoming", "file:" + path_}; }

    /* Of the whole machine, running or not; it is stopped afterwards. */
    void save(Machine &m) const
    {
        std::string answer;

        m.qmp(fmt::format(R"({{"execute": "migrate", "arguments": {{"uri": "file:{}"}}}})", path_));
        REQUIRE(eventually([&] {
            answer = m.qmp(R"({"execute": "query-migrate"})");
            return answer.find("\"completed\"") != answer.npos || answer.find("\"failed\"") != answer.npos;
        }, 10000));
        INFO(answer);
        REQUIRE(answer.find("\"completed\"") != answer.npos);
    }

    std::string content() const
    {
        std::ifstream in(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void replace(const std::string &content) const { std::ofstream(path_, std::ios::binary) << content; }

private:
    std::string path_;
};

void wait_for_arrival(Machine &m)
{
    REQUIRE(eventually([&] {
        return m.qmp(R"({"execute": "query-status"})").find("\"inmigrate\"") == std::string::npos;
    }, 10000));
}

/* All that can be read without an effect and does not change by itself. */
std::vector<std::pair<uint32_t, uint64_t>> registers(Machine &m)
{
    std::vector<std::pair<uint32_t, uint64_t>> values;

    for (const uint32_t reg : {GMEMU_REG_CAPS, GMEMU_REG_ERROR_INFO, GMEMU_REG_CTX_BASE, GMEMU_REG_COPY_BASE,
                               GMEMU_REG_COPY_BYTES, GMEMU_REG_ACNT_BASE,
                               GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE})
        values.emplace_back(reg, m.reg64(reg));
    for (const uint32_t reg :
         {GMEMU_REG_CTRL, GMEMU_REG_STATUS, GMEMU_REG_ERROR, GMEMU_REG_CHECK_COUNT, GMEMU_REG_CTX_SIZE_LOG2,
          GMEMU_REG_COPY_SIZE_LOG2, GMEMU_REG_COPY_CTRL, GMEMU_REG_COPY_PUT, GMEMU_REG_COPY_GET,
          GMEMU_REG_ACNT_THRESHOLD, GMEMU_REG_H2F_SIZE_LOG2, GMEMU_REG_FAULT(0) + GMEMU_FAULT_SIZE_LOG2,
          GMEMU_REG_FAULT(0) + GMEMU_FAULT_CTRL})
        values.emplace_back(reg, m.reg32(reg));
    values.emplace_back(GMEMU_DOORBELL_BASE, m.reg64(GMEMU_DOORBELL_BASE));
    return values;
}

/* Registers, local DRAM and interrupts as some software has left them. */
void configure(Machine &m, CopyRing &ring)
{
    m.set_reg64(GMEMU_REG_CTX_BASE, 0x600000);
    m.set_reg32(GMEMU_REG_CTX_SIZE_LOG2, 5);
    m.set_reg64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE, 0x610000);
    m.set_reg32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_SIZE_LOG2, 6);
    m.set_reg32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
    m.set_reg64(GMEMU_REG_ACNT_BASE, 0x620000);
    m.set_reg32(GMEMU_REG_ACNT_THRESHOLD, 77);
    m.set_reg32(GMEMU_REG_H2F_SIZE_LOG2, 3);
    m.set_reg64(GMEMU_DOORBELL_BASE, 99);
    set_vector(m, GMEMU_VEC_ERROR, kErrorMessage);
    enable_msix(m);
    m.write_memory(kSource, pattern(kSize));
    ring.push(GMEMU_COPY_OP_COPY, kSource, kLocal, kSize, GMEMU_COPY_DST_LOCAL);
    REQUIRE(ring.finish() == 0);
}

void check_local_dram(Machine &m, CopyRing &ring)
{
    ring.push(GMEMU_COPY_OP_COPY, kLocal, kTarget, kSize, GMEMU_COPY_SRC_LOCAL);
    REQUIRE(ring.finish() == 0);
    CHECK(m.read_memory(kTarget, kSize) == pattern(kSize));
}

} // namespace

TEST_CASE("a stopped machine is saved, and another QEMU goes on with it", "[state]")
{
    const std::string device = GENERATE("gmemu,dram=64M", "gmemu,dram=64M,coherent=on");
    const uint64_t message = kMessage + 4 * GMEMU_VEC_ERROR;
    StateFile file;
    Machine from(device);
    from.enable();
    CopyRing ring(from);

    configure(from, ring);
    from.qmp(R"({"execute": "stop"})");
    /* Work that comes while the machine is stopped, and an interrupt. */
    from.write(kFence, 0, 8);
    ring.push(GMEMU_COPY_OP_FENCE, 555, kFence, 0, 0);
    from.set_reg32(GMEMU_REG_COPY_PUT, 3);
    from.reg32(kNoRegister);
    REQUIRE(from.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_BAD_REG);
    const auto before = registers(from);
    file.save(from);
    CHECK(from.read(message, 4) == 0);
    CHECK(from.read(kFence, 8) == 0);

    Machine to(device, file.incoming());
    wait_for_arrival(to);
    CHECK(registers(to) == before);
    CHECK(to.read(message, 4) == 0);
    CHECK(to.read(kFence, 8) == 0);
    to.qmp(R"({"execute": "cont"})");
    CHECK(eventually([&] { return to.read(message, 4) == kErrorMessage; }));
    CHECK(eventually([&] { return to.read(kFence, 8) == 555; }));
    CopyRing same(to, ring);
    check_local_dram(to, same);
}

TEST_CASE("a running machine migrates", "[state]")
{
    const std::string device = GENERATE("gmemu,dram=64M", "gmemu,dram=64M,coherent=on");
    StateFile file;
    Machine from(device);
    from.enable();
    CopyRing ring(from);

    configure(from, ring);
    const auto before = registers(from);
    file.save(from);
    Machine to(device, file.incoming());
    wait_for_arrival(to);
    CHECK(registers(to) == before);
    CopyRing same(to, ring);
    check_local_dram(to, same);
}

TEST_CASE("a machine with a resized BAR2 migrates", "[state]")
{
    constexpr unsigned kCapRebar = 0x15, kControl = 8, kSizeShift = 8;
    constexpr uint64_t kSmall = 1 << 20, kAt = Machine::kBar2 + kSmall; /* where one of 64 MiB cannot be */
    const std::string device = "gmemu,dram=64M,coherent=on";
    StateFile file;
    Machine from(device);
    const unsigned rebar = from.find_extended_capability(kCapRebar);

    from.extended_write(rebar + kControl, 0u << kSizeShift);
    from.enable();
    from.config_write(0x10 + 4 * GMEMU_BAR_DRAM, static_cast<uint32_t>(kAt), 4);
    from.write(kAt + 8, 0x1122334455667788, 8);
    file.save(from);
    Machine to(device, file.incoming());
    wait_for_arrival(to);
    CHECK(to.read(kAt + 8, 8) == 0x1122334455667788);
    CHECK(to.bar_size(GMEMU_BAR_DRAM) == kSmall);
}

TEST_CASE("a device with other properties refuses the state and says which", "[state]")
{
    StateFile file;
    {
        Machine from("gmemu,cores=2");
        from.enable();
        file.save(from);
    }
    const StartFailure cores = expect_refusal("gmemu,cores=3", file.incoming());
    INFO(cores.message);
    CHECK(cores.exit_code == 1);
    CHECK(cores.message.find("give both devices the same cores=") != std::string::npos);
    const StartFailure dram = expect_refusal("gmemu,cores=2,dram=64M", file.incoming());
    INFO(dram.message);
    CHECK(dram.exit_code == 1);
    CHECK(dram.message.find("give both devices the same dram=") != std::string::npos);
}

TEST_CASE("a state of another version, a damaged one and one that is cut off are refused", "[state]")
{
    StateFile file;
    {
        Machine from("gmemu,dram=4M");
        from.enable();
        file.save(from);
    }
    const std::string good = file.content();
    const size_t core = good.find("GMEMUSAV");
    REQUIRE(core != good.npos);
    const auto refused = [&](const std::string &content, const char *text) {
        file.replace(content);
        const StartFailure failure = expect_refusal("gmemu,dram=4M", file.incoming());
        INFO(failure.message);
        CHECK(failure.exit_code == 1);
        CHECK(failure.message.find(text) != std::string::npos);
    };
    const auto changed = [&](size_t at, char byte) {
        std::string content = good;
        content[at] = byte;
        return content;
    };

    /* QEMU's section of the device: its name, u32 instance, u32 version, big endian. */
    const std::string name = "/gmemu";
    const size_t section = good.rfind(name, core);
    REQUIRE(section != good.npos);
    refused(changed(section + name.size() + 7, 2), "version 2 for");
    refused(changed(core + 8, 9), "the saved state has format 9, this gmemu reads format 1");
    /* The core's first section: a byte for the length of its name, the name, u16 version. */
    const size_t first = core + 8 + 4;
    refused(changed(first + 1 + static_cast<unsigned char>(good[first]), 99), "has version 99, this gmemu reads up to 1");
    refused(changed(first + 1, '?'), "it is from an earlier gmemu, or damaged");
    refused(good.substr(0, core + 100), "the saved state ends before its");
}
