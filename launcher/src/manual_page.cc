/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command_text.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* A '-' that can be copied, and no line that begins with a control character. */
std::string roff(const std::string &text)
{
    std::string result;

    for (const char c : text) {
        if (c == '-' || c == '\\')
            result += '\\';
        if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n'))
            result += "\\&";
        result += c;
        if (c == '\\')
            result.back() = 'e';
    }
    return result;
}

constexpr const char *kBefore = R"roff(.SH DESCRIPTION
.B gmemu
boots a Linux guest over this host's own file system, with an accelerator that page-faults, and runs a program there.
The guest sees the host's files read-only, under a layer in memory that takes changes and is thrown away; the current
directory is shared for reading and writing.
Standard input, output and error are passed as they are, signals too, and
.B gmemu
ends with the program's exit code.
Neither root nor KVM is needed.
.SH COMMANDS
)roff";

constexpr const char *kAfter = R"roff(.SH "CONFIGURATION FILES"
Options that are always wanted stand in
.I ~/.config/gmemu/config
and, for one directory, in
.IR .gmemu.conf ,
which is read only if it belongs to the user or to root.
A line is
.IR OPTION " or " OPTION " = " VALUE ,
without dashes; a section
.RI [ COMMAND ]
is for that command only. The command line comes after them: it wins where an option has one value, and adds where an
option is repeatable.
.B \-\-no\-config
leaves the files out.
.SH "EXIT STATUS"
The program's own; and
.TP
124
\fB\-\-timeout\fR is over
.TP
125
gmemu itself failed, and says why
.TP
126, 127
the program cannot be executed; there is no such program
.TP
128 + N
the program died of signal N, or gmemu did
.TP
254
the device failed for good
.TP
255
the guest's kernel panicked
.SH ENVIRONMENT
.TP
.B GMEMU_CACHE
where kernel, QEMU, and logs of runs that went wrong are; \fI~/.cache/gmemu\fR
.TP
.B GMEMU_CONFIG
the only configuration file; empty for none
.TP
.B GMEMU_BUILD
in a checkout: the build directory
.SH EXAMPLES
.EX
gmemu run \-\- ./program \-\-args <input >output
gmemu run \-\-devices 2 \-\-device 1:dram=64M \-\-seed random \-\- ./program
gmemu run \-\-ro . \-\-rw results \-\-junit results/run.xml \-\- ./program
gmemu test \-\-only guest/faults
.EE
.SH "SEE ALSO"
.BR gmemu (4),
.BR qemu\-system\-x86_64 (1)
)roff";

std::string option_entry(const CLI::Option &option)
{
    const std::string type = option.get_type_name();
    std::string names;

    for (const std::string &name : option.get_lnames())
        names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff("--" + name));
    for (const std::string &name : option.get_snames())
        names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff("-" + name));
    if (names.empty())
        names = fmt::format("\\fI{}\\fR", roff(option.get_name()));
    else if (option.get_items_expected_max() > 0 && !type.empty())
        names += fmt::format(" \\fI{}\\fR", roff(type));
    return fmt::format(".TP\n{}\n{}\n", names, roff(option.get_description()));
}

/* Options that many commands have are explained once. */
bool is_guest_option(const CLI::App &run, const CLI::Option &option)
{
    const CLI::Option *same =
        option.get_lnames().empty() ? nullptr : run.get_option_no_throw("--" + option.get_lnames().front());

    return same && same->get_description() == option.get_description();
}

} // namespace

std::string manual_page(const CLI::App &app)
{
    const auto commands =
        app.get_subcommands([](const CLI::App *command) { return !command->get_group().empty(); });
    const CLI::App &run = *commands.front();
    std::string page = ".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
                       ".\\\" Made from the options of the program.\n"
                       ".TH GMEMU 1 \"\" \"gmemu " GMEMU_VERSION "\"\n"
                       ".SH NAME\n"
                       "gmemu \\- run programs in a guest with an accelerator that page\\-faults\n"
                       ".SH SYNOPSIS\n";

    for (const CLI::App *command : commands)
        page += fmt::format(".br\n\\fBgmemu {}\\fR [\\fIOPTION\\fR...]{}\n", roff(command->get_name()),
                            command->get_option_no_throw("program")
                                ? " [\\-\\-] [\\fIPROGRAM\\fR [\\fIARGUMENT\\fR...]]"
                                : "");
    page += kBefore;
    for (const CLI::App *command : commands) {
        page += fmt::format(".TP\n\\fB{}\\fR\n{}.\n", roff(command->get_name()),
                            roff(command->get_description()));
        if (command == &run)
            page += "Its options are those of all commands that boot a guest.\n";
        for (const CLI::Option *option : command->get_options())
            if (command != &run && !is_guest_option(run, *option) && !option->get_lnames().empty())
                page += ".RS\n" + option_entry(*option) + ".RE\n";
    }
    page += ".SH \"OPTIONS OF COMMANDS THAT BOOT A GUEST\"\n";
    for (const CLI::Option *option : run.get_options())
        if (!option->get_lnames().empty())
            page += option_entry(*option);
    return page + kAfter;
}

} // namespace gmemu
