/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking into the device through QEMU: qom-get, trace events, the device trace. */
#include "gmemu_regs.h"
#include "qtest_machine.h"
#include "software.h"
#include "trace_file.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace gmemu::qtest;
using nlohmann::json;

namespace {

constexpr uint64_t kTables = 0x600000;
constexpr uint64_t kMappedVa = 0x7f0000345000;

/* A directory of its own, gone in the end. */
class Directory {
public:
    Directory()
    {
        std::string name = (std::filesystem::temp_directory_path() / "gmemu-qtest-XXXXXX").string();

        REQUIRE(mkdtemp(name.data()));
        path_ = name;
    }
    ~Directory()
    {
        std::error_code error;

        std::filesystem::remove_all(path_, error);
    }
    std::string file(const char *name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

std::string text_of(const std::string &path)
{
    std::ifstream in(path);
    std::ostringstream out;

    out << in.rdbuf();
    return out.str();
}

json ask(Machine &m, const std::string &property)
{
    const json answer = json::parse(m.qmp(R"({"execute": "qom-get", "arguments": {"path": "/machine/peripheral/dut", )"
                                          R"("property": ")" +
                                          property + R"("}})"),
                                    nullptr, false);

    INFO(answer.dump());
    REQUIRE(answer.contains("return"));
    return answer.at("return");
}

} // namespace

TEST_CASE("qom-get tells what the device is doing", "[introspection]")
{
    Machine m("gmemu,cores=3,id=dut");
    m.enable();

    /* A context table with one context that maps one page. */
    const uint64_t table = kTables, root = kTables + 0x1000;
    m.write(table + 5 * sizeof(gmemu_ctx_entry), root | GMEMU_PTE_V, 8);
    uint64_t at = root;
    for (unsigned level = GMEMU_PT_LEVELS - 1; level > 0; level--) {
        m.write(at + 8 * ((kMappedVa >> GMEMU_PT_SHIFT(level)) % GMEMU_PT_ENTRIES), (at + 0x1000) | GMEMU_PTE_V, 8);
        at += 0x1000;
    }
    m.write(at + 8 * ((kMappedVa >> 12) % GMEMU_PT_ENTRIES), 0x5000 | GMEMU_PTE_V | GMEMU_PTE_LEAF | GMEMU_PTE_R, 8);
    m.set_reg64(GMEMU_REG_CTX_BASE, table);
    m.set_reg32(GMEMU_REG_CTX_SIZE_LOG2, 7);

    const json contexts = ask(m, "contexts");
    CHECK(contexts.at("valid") == 1);
    REQUIRE(contexts.at("contexts").size() == 1);
    CHECK(contexts.at("contexts")[0].at("context") == 5);
    const json tables = ask(m, "page-tables");
    REQUIRE(tables.at("contexts").size() == 1);
    REQUIRE(tables.at("contexts")[0].at("mapped").size() == 1);
    CHECK(hex(tables.at("contexts")[0].at("mapped")[0].at("va")) == kMappedVa);
    CHECK(hex(tables.at("contexts")[0].at("mapped")[0].at("at")) == 0x5000);
    CHECK(ask(m, "harts").at("harts").size() == 3);
    CHECK(ask(m, "tlbs").at("translations").empty());
    CHECK(ask(m, "rings").at("rings").size() == 7);

    /* They can only be read. */
    CHECK_THROWS(m.qmp(R"({"execute": "qom-set", "arguments": )"
                       R"({"path": "/machine/peripheral/dut", "property": "harts", "value": 1}})"));
    /* Also while the machine stands still. */
    m.qmp(R"({"execute": "stop"})");
    CHECK(ask(m, "contexts").at("valid") == 1);
}

TEST_CASE("trace events tell what goes between QEMU and the device", "[introspection]")
{
    const Directory directory;
    const std::string log = directory.file("log");
    {
        Machine m("gmemu,id=dut", {"-trace", "gmemu_*", "-D", log});
        m.enable();
        m.set_reg32(GMEMU_REG_INV_CMD, GMEMU_INV_SCOPE_ALL);
        CHECK(m.reg32(GMEMU_REG_ID) == GMEMU_ID);
        ask(m, "harts");
    }
    const std::string text = text_of(log);
    INFO(text.substr(0, 2000));
    for (const char *line : {"gmemu_bus_master dut enabled 1", "gmemu_mmio_write dut offset 0x224 size 4 value 0x1",
                             "gmemu_invalidate dut seq 1 command 0x1 context 0 va 0x0", "gmemu_invalidate_end dut seq 1",
                             "gmemu_mmio_read dut offset 0x0 size 4 value 0x", "gmemu_query dut harts", "gmemu_reset dut"})
        CHECK(text.find(line) != text.npos);
}

TEST_CASE("the trace is complete when QEMU ends", "[introspection]")
{
    const Directory directory;
    const std::string file = directory.file("trace.json");
    {
        Machine m("gmemu,id=dut,trace=" + file);
        m.enable();
        m.set_reg32(GMEMU_REG_INV_CMD, GMEMU_INV_SCOPE_ALL);
        CHECK(eventually([&] { return m.reg32(GMEMU_REG_INV_DONE) == 1; }));
        m.qmp(R"({"execute": "quit"})");
        CHECK(eventually([&] { return text_of(file).find("the trace ends") != std::string::npos; }));
    }
    const TraceFile trace(file);
    trace.require_all_ended();
    CHECK(trace.kind("invalidation").size() == 1);
    CHECK(!trace.instants("bus master on").empty());
    CHECK(trace.metadata("gmemu_clock").at("host_ns") > 0);
}

TEST_CASE("a trace that cannot be written is refused", "[introspection]")
{
    const StartFailure failure = expect_refusal("gmemu,trace=/nowhere/trace.json");

    CHECK(failure.exit_code != 0);
    CHECK(failure.message.find("gmemu: trace=/nowhere/trace.json: the file cannot be opened for writing: No such file or "
                               "directory") != failure.message.npos);
}
