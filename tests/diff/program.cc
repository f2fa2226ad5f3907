// SPDX-License-Identifier: GPL-2.0-or-later
#include "program.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "assembler.h"
#include "cpu.h"
#include "flat_port.h"

extern char **environ;

namespace gmemu::diff {

namespace {

unsigned length(uint32_t insn) { return (insn & 3) == 3 ? 4 : 2; }

unsigned length(const Piece &piece)
{
    unsigned n = 0;
    for (const uint32_t insn : piece.insns)
        n += length(insn);
    return n;
}

uint32_t with_offset(uint32_t insn, int32_t offset)
{
    const auto o = static_cast<uint32_t>(offset);
    if ((insn & 0x7f) == 0x63)
        return insn | b_type(0, 0, 0, offset);
    if ((insn & 0x7f) == 0x6f)
        return insn | j_type(0, offset);
    if ((insn & 0xe003) == 0xa001) // c.j
        return insn | bits(o, 11, 1) << 12 | bits(o, 4, 1) << 11 | bits(o, 8, 2) << 9 | bits(o, 10, 1) << 8 |
               bits(o, 6, 1) << 7 | bits(o, 7, 1) << 6 | bits(o, 1, 3) << 3 | bits(o, 5, 1) << 2;
    return insn | bits(o, 8, 1) << 12 | bits(o, 3, 2) << 10 | bits(o, 6, 2) << 5 | bits(o, 1, 2) << 3 |
           bits(o, 5, 1) << 2; // c.beqz, c.bnez
}

// x0 and what the harness itself needs stay out of load and save.
bool is_transferred(unsigned reg)
{
    return reg != 0 && reg != kRegCount && reg != kRegInput && reg != kRegLog && reg != kRegLink;
}

constexpr uint32_t kVstart = 0x008;
constexpr uint32_t kVcsr = 0x00f;
constexpr uint32_t kVlenb = 0xc22;
constexpr int32_t kVectorOffset = sizeof(Registers) + sizeof(VectorCsrs);

// base += scale * vlenb, or -=, with the counter as scratch
void emit_advance(Code &code, uint32_t base, int32_t log2_scale, bool back)
{
    code.emit(csrrs(kRegCount, kVlenb, 0));
    code.emit(i_type(0x13, 1, kRegCount, kRegCount, log2_scale));
    code.emit(r_type(0x33, 0, back ? 0x20 : 0, base, base, kRegCount));
}

// All registers, from or to base on; base ends up behind them.
void emit_vectors(Code &code, uint32_t opcode, uint32_t base)
{
    for (uint32_t v = 0; v < 32; v += 8) {
        code.emit(opcode | v << 7 | base << 15 | 8u << 20 | 1u << 25 | 7u << 29); // vl8re8.v, vs8r.v
        emit_advance(code, base, 3, false);
    }
}

void emit_load_routine(Code &code, unsigned vlen)
{
    if (vlen) {
        code.emit(addi(kRegInput, kRegInput, kVectorOffset));
        emit_vectors(code, 0x07, kRegInput);
        emit_advance(code, kRegInput, 5, true);
        code.emit(addi(kRegInput, kRegInput, -kVectorOffset));
        code.emit(ld(kRegCount, kRegInput, sizeof(Registers) + offsetof(VectorCsrs, vcsr)));
        code.emit(csrrw(0, kVcsr, kRegCount));
    }
    code.emit(ld(kRegCount, kRegInput, offsetof(Registers, fcsr)));
    code.emit(csrrw(0, 3, kRegCount));
    for (unsigned i = 0; i < 32; ++i) {
        if (is_transferred(i))
            code.emit(ld(i, kRegInput, static_cast<int32_t>(8 * i)));
        code.emit(fld(i, kRegInput, static_cast<int32_t>(256 + 8 * i)));
    }
    // No reservation of the group before survives: the input is never the target of SC.
    code.emit(r_type(0x2f, 2, 2 << 2, 0, kRegInput, 0));
    if (vlen) {
        code.emit(addi(kRegInput, kRegInput, kVectorOffset));
        emit_advance(code, kRegInput, 5, false);
    } else {
        code.emit(addi(kRegInput, kRegInput, sizeof(Registers)));
    }
    code.emit(jalr(0, kRegLink, 0));
}

void emit_save_routine(Code &code, unsigned vlen)
{
    for (unsigned i = 0; i < 32; ++i) {
        if (is_transferred(i))
            code.emit(sd(i, kRegLog, static_cast<int32_t>(8 * i)));
        code.emit(fsd(i, kRegLog, static_cast<int32_t>(256 + 8 * i)));
    }
    code.emit(csrrs(kRegCount, 3, 0));
    code.emit(sd(kRegCount, kRegLog, offsetof(Registers, fcsr)));
    if (vlen) {
        // vstart first: the stores of the registers clear it.
        constexpr uint32_t kCsrs[] = {0xc20, 0xc21, kVcsr, kVstart};
        for (int32_t i = 0; i < 4; ++i) {
            code.emit(csrrs(kRegCount, kCsrs[i], 0));
            code.emit(sd(kRegCount, kRegLog, static_cast<int32_t>(sizeof(Registers)) + 8 * i));
        }
        code.emit(csrrw(0, kVstart, 0));
        code.emit(addi(kRegLog, kRegLog, kVectorOffset));
        emit_vectors(code, 0x27, kRegLog);
    } else {
        code.emit(addi(kRegLog, kRegLog, sizeof(Registers)));
    }
    code.emit(jalr(0, kRegLink, 0));
}

std::vector<uint8_t> make_elf(const Program &program)
{
    constexpr uint64_t kCodeOffset = 4096;
    const uint64_t data_offset = (kCodeOffset + program.code.size() + 4095) & ~4095ull;
    std::vector<uint8_t> file(data_offset + program.data.size());

    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_RISCV;
    header.e_version = EV_CURRENT;
    header.e_entry = kCodeVa;
    header.e_phoff = sizeof(header);
    header.e_flags = 0x5; // RVC, double float ABI
    header.e_ehsize = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;

    const Elf64_Phdr segments[2] = {
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_X,
         .p_offset = kCodeOffset,
         .p_vaddr = kCodeVa,
         .p_paddr = kCodeVa,
         .p_filesz = program.code.size(),
         .p_memsz = program.code.size(),
         .p_align = 4096},
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_W,
         .p_offset = data_offset,
         .p_vaddr = kBufferVa,
         .p_paddr = kBufferVa,
         .p_filesz = program.data.size(),
         .p_memsz = program.data.size(),
         .p_align = 4096},
    };
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), segments, sizeof(segments));
    std::copy(program.code.begin(), program.code.end(), file.begin() + kCodeOffset);
    std::copy(program.data.begin(), program.data.end(),
              file.begin() + static_cast<std::ptrdiff_t>(data_offset));
    return file;
}

// A file that goes away with its owner.
class TempFile {
public:
    explicit TempFile(const char *what)
    {
        path_ = (std::filesystem::temp_directory_path() / fmt::format("gmemu-diff-{}-XXXXXX", what)).string();
        fd_ = mkostemp(path_.data(), O_CLOEXEC);
        if (fd_ < 0)
            throw std::runtime_error(fmt::format("cannot make {}: {}", path_, std::strerror(errno)));
    }
    ~TempFile()
    {
        close_fd();
        unlink(path_.c_str());
    }
    TempFile(const TempFile &) = delete;
    TempFile &operator=(const TempFile &) = delete;

    const std::string &path() const { return path_; }
    int fd() const { return fd_; }
    void close_fd()
    {
        if (fd_ >= 0)
            close(fd_);
        fd_ = -1;
    }

private:
    std::string path_;
    int fd_ = -1;
};

Dump parse_dump(std::span<const uint8_t> raw, const Program &program)
{
    Dump dump;
    dump.buffer.assign(raw.begin(), raw.begin() + kBufferSize);
    dump.log.resize(program.log_entries);
    const uint8_t *entry = raw.data() + kBufferSize;
    for (size_t i = 0; i < program.log_entries; ++i, entry += program.entry_size()) {
        std::memcpy(&dump.log[i], entry, sizeof(Registers));
        if (!program.vlen)
            continue;
        VectorCsrs csrs;
        std::memcpy(&csrs, entry + sizeof(Registers), sizeof(csrs));
        dump.vector_csrs.push_back(csrs);
        dump.vectors.emplace_back(entry + kVectorOffset, entry + program.entry_size());
    }
    return dump;
}

} // namespace

std::vector<std::vector<uint32_t>> resolve_branches(const std::vector<Piece> &pieces)
{
    std::vector<std::vector<uint32_t>> out;
    for (size_t i = 0; i < pieces.size(); ++i) {
        std::vector<uint32_t> insns = pieces[i].insns;
        if (pieces[i].skip) {
            int32_t offset = static_cast<int32_t>(length(insns.back()));
            for (size_t j = i + 1; j <= i + pieces[i].skip && j < pieces.size(); ++j)
                offset += static_cast<int32_t>(length(pieces[j]));
            insns.back() = with_offset(insns.back(), offset);
        }
        out.push_back(std::move(insns));
    }
    return out;
}

Program make_program(std::span<const Group> groups, std::span<const uint8_t> buffer, unsigned vlen)
{
    Program program;
    program.log_entries = groups.size();
    program.vlen = vlen;
    const size_t entry_size = program.entry_size();
    program.input_va = (kLogVa + groups.size() * entry_size + 4095) & ~4095ull;
    program.data.resize(program.input_va - kBufferVa + groups.size() * entry_size);
    std::copy(buffer.begin(), buffer.end(), program.data.begin());
    uint8_t *input = program.data.data() + (program.input_va - kBufferVa);
    for (const Group &g : groups) {
        std::memcpy(input, &g.in, sizeof(Registers));
        if (vlen) {
            const VectorCsrs csrs{.vl = 0, .vtype = 0, .vcsr = g.vcsr, .vstart = 0};
            std::memcpy(input + sizeof(Registers), &csrs, sizeof(csrs));
            std::copy(g.vector.begin(), g.vector.end(), input + kVectorOffset);
        }
        input += entry_size;
    }

    Code code(kCodeVa);
    code.emit(j_type(0, 4 * 256)); // over the routines
    const uint64_t load = code.here();
    emit_load_routine(code, vlen);
    const uint64_t save = code.here();
    emit_save_routine(code, vlen);
    while (code.here() < kCodeVa + 4 * 256)
        code.emit(kNop);

    code.load_address(kRegInput, program.input_va);
    code.load_address(kRegLog, kLogVa);
    for (const Group &g : groups) {
        code.call(kRegLink, load);
        code.emit(addi(kRegCount, 0, static_cast<int32_t>(g.repeat)));
        const uint64_t top = code.here();
        for (const auto &insns : resolve_branches(g.pieces))
            for (const uint32_t insn : insns)
                code.emit(insn);
        program.marks.push_back(code.here());
        code.emit(kNop);
        code.emit(addi(kRegCount, kRegCount, -1));
        code.emit(b_type(1, kRegCount, 0, static_cast<int32_t>(top - code.here())));
        code.call(kRegLink, save);
    }
    code.load_address(10, 1);
    code.load_address(11, kBufferVa);
    code.load_address(12, program.dump_size());
    code.load_address(17, 64); // write
    code.emit(kEcall);
    code.load_address(10, 0);
    code.load_address(17, 93); // exit
    code.emit(kEcall);
    program.code = code.bytes();
    return program;
}

Dump run_reference(const Program &program, const std::string &qemu, const std::string &cpu)
{
    TempFile elf("elf");
    TempFile out("out");
    const std::vector<uint8_t> image = make_elf(program);
    if (write(elf.fd(), image.data(), image.size()) != static_cast<ssize_t>(image.size()))
        throw std::runtime_error(fmt::format("cannot write {}: {}", elf.path(), std::strerror(errno)));
    fchmod(elf.fd(), 0700);
    elf.close_fd();

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out.fd(), STDOUT_FILENO);
    const char *argv[] = {qemu.c_str(), "-cpu", cpu.c_str(), elf.path().c_str(), nullptr};
    pid_t pid = 0;
    const int error = posix_spawnp(&pid, qemu.c_str(), &actions, nullptr, const_cast<char **>(argv), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        throw std::runtime_error(
            fmt::format("cannot run {}: {} (package qemu-user)", qemu, std::strerror(error)));
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error(fmt::format("{} ended with wait status {:#x}", qemu, status));

    std::vector<uint8_t> raw(program.dump_size());
    if (pread(out.fd(), raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size()))
        throw std::runtime_error(fmt::format("{} wrote less than {} bytes", qemu, raw.size()));
    return parse_dump(raw, program);
}

Dump run_ours(const Program &program, uint64_t chaos_seed, unsigned chaos_period)
{
    using namespace gmemu::hart;
    std::vector<uint8_t> code = program.code;
    std::vector<uint8_t> data = program.data;
    code.resize((code.size() + kPageSize) & ~kPageOffset);
    data.resize((data.size() + kPageSize) & ~kPageOffset);

    FlatPort port({{kCodeVa, code.size(), reinterpret_cast<std::byte *>(code.data())},
                   {kBufferVa, data.size(), reinterpret_cast<std::byte *>(data.data())}});
    port.set_chaos(chaos_seed, chaos_period);
    Cpu<FlatPort> cpu(port, 0, program.vlen);
    cpu.reset(kCodeVa);

    for (;;) {
        const Stop stop = cpu.run();
        if (stop.reason == StopReason::kPageFault && !port.outside())
            continue;
        if (stop.reason == StopReason::kEcall && cpu.state().x[17] == 64)
            break;
        throw std::runtime_error(fmt::format("our hart stopped: reason {}, pc {:#x}, tval {:#x}",
                                             static_cast<int>(stop.reason), stop.pc, stop.tval));
    }
    return parse_dump(data, program);
}

} // namespace gmemu::diff
