/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command_text.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* How bash finds values: "{a,b}" in the name of a type are the words, FILE and DIR are looked up. */
std::string value_action(const CLI::Option &option)
{
    const std::string type = option.get_type_name();
    const size_t open = type.find('{'), close = type.find('}');

    if (open != type.npos && close != type.npos) {
        std::string words = type.substr(open + 1, close - open - 1);

        for (char &c : words)
            if (c == ',')
                c = ' ';
        return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words);
    }
    if (type.find("DIR") != type.npos)
        return "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$cur\"))";
    if (type.find("FILE") != type.npos)
        return "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\"))";
    return "COMPREPLY=()";
}

/* "--first --second" */
std::string option_names(const CLI::App &command)
{
    std::string names;

    for (const CLI::Option *option : command.get_options())
        for (const std::string &name : option->get_lnames())
            names += (names.empty() ? "--" : " --") + name;
    return names;
}

std::string command_case(const CLI::App &command)
{
    std::string values;

    for (const CLI::Option *option : command.get_options())
        for (const std::string &name : option->get_lnames())
            if (option->get_items_expected_max() > 0)
                values += fmt::format("\t\t--{}) {}; return ;;\n", name, value_action(*option));
    return fmt::format("\t{})\n"
                       "\t\toptions='{}'\n"
                       "\t\tcase $prev in\n{}"
                       "\t\tesac\n"
                       "\t\t;;\n",
                       command.get_name(), option_names(command), values);
}

} // namespace

std::string bash_completion(const CLI::App &app)
{
    std::string commands, cases;

    for (const CLI::App *command : app.get_subcommands([](const CLI::App *) { return true; })) {
        if (command->get_group().empty())
            continue;
        commands += (commands.empty() ? "" : " ") + command->get_name();
        cases += command_case(*command);
    }
    return fmt::format(R"script(# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for gmemu; made by 'gmemu completion'.

_gmemu() {{
	local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
	local command='' options='' i
	COMPREPLY=()

	# --option=value comes as three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]]; then
		prev=${{COMP_WORDS[COMP_CWORD - 2]}}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${{COMP_WORDS[i]}} in
		--)
			# What follows is the program's.
			if ((COMP_CWORD == i + 1)); then
				compopt -o filenames 2>/dev/null
				COMPREPLY=($(compgen -c -f -- "$cur"))
			else
				compopt -o filenames 2>/dev/null
				COMPREPLY=($(compgen -f -- "$cur"))
			fi
			return
			;;
		-*) ;;
		*) [[ $command ]] || command=${{COMP_WORDS[i]}} ;;
		esac
	done
	case $command in
	'')
		COMPREPLY=($(compgen -W '{0} --help --version' -- "$cur"))
		return
		;;
{1}	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options" -- "$cur"))
	else
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
	fi
}}

complete -F _gmemu gmemu ./gmemu
)script",
                       commands, cases);
}

} // namespace gmemu
