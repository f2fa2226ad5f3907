// SPDX-License-Identifier: MIT
#include "error.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "gmemu_regs.h"
#include "module.h"

namespace {

thread_local char last_error[512] = "no error";

const char *access_words(uint32_t access)
{
    switch (access) {
    case GMEMU_ACCESS_READ: return "read from";
    case GMEMU_ACCESS_WRITE: return "write to";
    case GMEMU_ACCESS_EXEC: return "instruction fetch from";
    case GMEMU_ACCESS_ATOMIC: return "atomic operation on";
    case GMEMU_ACCESS_PREFETCH: return "prefetch of";
    default: return "access to";
    }
}

const char *reason_words(uint32_t reason)
{
    switch (reason) {
    case GMEMU_REASON_UNMAPPED: return "nothing is mapped there";
    case GMEMU_REASON_PERM: return "the mapping does not allow it";
    case GMEMU_REASON_NOMEM: return "out of memory";
    case GMEMU_REASON_IO: return "the memory cannot be read or was lost";
    case GMEMU_REASON_KILLED: return "the process is going away";
    default: return "refused";
    }
}

const char *packet_words(uint64_t what)
{
    switch (what) {
    case GMEMU_PKT_TYPE: return "unknown type";
    case GMEMU_PKT_RESERVED: return "a reserved field is not 0";
    case GMEMU_PKT_SETUP: return "wrong number of dimensions";
    case GMEMU_PKT_SIZE: return "a work-group or grid size is 0 or does not fit the dimensions";
    case GMEMU_PKT_SCRATCH: return "the kernel needs more stack than the queue has";
    case GMEMU_PKT_ALIGN: return "an address or size is not aligned, or source and destination overlap";
    case GMEMU_PKT_AGENT: return "unknown agent operation";
    default: return "malformed";
    }
}

/* snprintf() that goes on where the text before ended, and counts what did not fit. */
class Text {
public:
    Text(char *text, size_t size) : text_(text), size_(size)
    {
        if (size)
            *text = '\0';
    }

    [[gnu::format(printf, 2, 3)]] void add(const char *format, ...)
    {
        va_list args;
        va_start(args, format);
        const size_t at = length_ < size_ ? length_ : size_;
        const int n = vsnprintf(text_ + at, size_ - at, format, args);
        va_end(args);
        if (n > 0)
            length_ += static_cast<size_t>(n);
    }

    size_t length() const { return length_; }

private:
    char *text_;
    size_t size_;
    size_t length_ = 0;
};

void add_where(Text &text, const gmemu_queue_error &error)
{
    char kernel[64];

    if (error.hart == 0xff)
        text.add(" (queue processor");
    else
        text.add(" (hart %u", error.hart);
    if (error.pc && gmemu_lib::function_at(error.pc, kernel, sizeof(kernel)))
        text.add(", in %s", kernel);
    if (error.pc)
        text.add(", pc 0x%llx", static_cast<unsigned long long>(error.pc));
    text.add(", packet %llu)", static_cast<unsigned long long>(error.packet));
}

} // namespace

namespace gmemu_lib {

int fail(int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof(last_error), format, args);
    va_end(args);
    return error;
}

} // namespace gmemu_lib

extern "C" {

const char *gmemu_last_error(void) { return last_error; }

const char *gmemu_strerror(int error)
{
    switch (error < 0 ? -error : error) {
    case 0: return "no error";
    case ENODEV:
        return "the device cannot be used: it is not there, lost, without firmware, or GMEM is off; "
               "`gmemu doctor` tells which";
    case EACCES:
        return "not allowed: no permission for /dev/accel/accelN (be root, or change its mode), or the "
               "context belongs to the process that called fork()";
    case ENOENT: return "no such file, kernel, context or queue";
    case EIO:
        return "the queue stopped because of an error: gmemu_queue_get_error() says which; destroy it "
               "and create another";
    case ETIME: return "the time is over and the condition is not met";
    case EINTR: return "interrupted by a signal handler; call again";
    case ENOSPC: return "all contexts or queues of the device are in use";
    case ENOMEM: return "out of memory";
    case E2BIG: return "more than GMEMU_KERNARG_MAX bytes of arguments; pass a pointer to them";
    case ENOEXEC: return "not a device module; make one with gmemu-cc";
    case EINVAL: return "an argument is wrong";
    default: return strerror(error < 0 ? -error : error);
    }
}

size_t gmemu_error_string(const struct gmemu_queue_error *error, char *buffer, size_t size)
{
    const auto va = static_cast<unsigned long long>(error->va);
    Text text(buffer, size);

    switch (error->code) {
    case GMEMU_QERR_NONE: text.add("no error"); return text.length();
    case GMEMU_QERR_MEMORY_FAULT:
        text.add("%s 0x%llx: %s", access_words(error->access), va, reason_words(error->reason));
        break;
    case GMEMU_QERR_ILLEGAL_INSTRUCTION: text.add("illegal instruction at 0x%llx", va); break;
    case GMEMU_QERR_MISALIGNED: text.add("misaligned atomic or jump, address 0x%llx", va); break;
    case GMEMU_QERR_BREAKPOINT: text.add("breakpoint"); break;
    case GMEMU_QERR_ABORT:
        text.add("the kernel called abort with code %lld",
                 static_cast<long long>(static_cast<int64_t>(error->arg)));
        break;
    case GMEMU_QERR_BAD_PACKET: text.add("bad packet at 0x%llx: %s", va, packet_words(error->arg)); break;
    case GMEMU_QERR_HART: text.add("a hart failed"); break;
    case GMEMU_QERR_RESET:
        text.add("the device was reset (dmesg says why); destroy the queue and create another");
        return text.length();
    default: text.add("error %u", error->code);
    }
    add_where(text, *error);
    return text.length();
}

} // extern "C"
