#include <string.h>

#include "ctl/completion/completion.h"
#include "ctl/flags.h"

#define QUOTE    "\\'"
#define SPECIALS "\\"

static void put_flag(struct output *out, const struct ctl_command *command,
                     const struct command_flag *flag)
{
    char words[COMPLETION_WORDS_BYTES];

    put(out, "complete -c netscopectl -n '__netscopectl_is %s' -l %s", command->name, flag->name);
    if (flag->letter != 0) {
        put(out, " -s %c", flag->letter);
    }
    switch (completion_of_flag(flag, words)) {
    case COMPLETE_NONE:
        break;
    case COMPLETE_FILE:
        put(out, " -r -F");
        break;
    case COMPLETE_FILTER:
        put(out, " -x -a '(__netscopectl_filter)'");
        break;
    case COMPLETE_WORDS:
        put(out, " -x -a '%s'", words);
        break;
    case COMPLETE_LIST:
        put(out, " -x -a '(__netscopectl_list %s)'", words);
        break;
    default:
        put(out, " -x");
    }
    put(out, " -d '");
    put_quoted(out, flag->help, QUOTE, SPECIALS);
    put(out, "'\n");
}

static void put_command(struct output *out, const struct ctl_command *command)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    const uint32_t count = flags_of(command, flags);
    char words[COMPLETION_WORDS_BYTES];
    const enum completion_kind kind = completion_of_operand(command, words);

    for (uint32_t i = 0; i < count; i++) {
        put_flag(out, command, &flags[i]);
    }
    if (kind == COMPLETE_FILE) {
        put(out, "complete -c netscopectl -n '__netscopectl_is %s' -F\n", command->name);
    } else if (kind == COMPLETE_WORDS) {
        put(out, "complete -c netscopectl -n '__netscopectl_is %s' -a '%s'\n", command->name,
            words);
    }
}

static void put_names(struct output *out, command_list commands)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        const size_t group = command_group_length(commands[i]);

        if (command_is_first(commands, i)) {
            put(out, "complete -c netscopectl -n '__netscopectl_words 0' -a %.*s -d '",
                (int)strcspn(commands[i]->name, " "), commands[i]->name);
            put_first_summary(out, commands, i, QUOTE, SPECIALS);
            put(out, "'\n");
        }
        if (group > 0) {
            put(out, "complete -c netscopectl -n '__netscopectl_words 1 %.*s' -a %s -d '",
                (int)group, commands[i]->name, commands[i]->name + group + 1);
            put_quoted(out, commands[i]->summary, QUOTE, SPECIALS);
            put(out, "'\n");
        }
    }
}

static const char functions[] =
    "# Are there so many words behind netscopectl, and is the first of them this one?\n"
    "function __netscopectl_words\n"
    "    set -l words (commandline -opc)\n"
    "    test (math (count $words) - 1) -eq $argv[1]; or return 1\n"
    "    test (count $argv) -eq 1; or test \"$words[2]\" = \"$argv[2]\"\n"
    "end\n"
    "# Is it this command, of one word or two?\n"
    "function __netscopectl_is\n"
    "    set -l words (commandline -opc)\n"
    "    test (count $words) -gt (count $argv); or return 1\n"
    "    test \"$words[2]\" = \"$argv[1]\"; or return 1\n"
    "    if test (count $argv) -eq 2\n"
    "        test \"$words[3]\" = \"$argv[2]\"\n"
    "    else\n"
    "        not contains -- \"$words[2] $words[3]\" $__netscopectl_pairs\n"
    "    end\n"
    "end\n"
    "# Words that may follow each other with commas between them.\n"
    "function __netscopectl_list\n"
    "    set -l head (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r "
    "'^--[a-z-]+=' ''))\n"
    "    for word in $argv\n"
    "        echo $head$word\n"
    "    end\n"
    "end\n"
    "# The last word of a filter, which may stand in quotes with spaces.\n"
    "function __netscopectl_filter\n"
    "    set -l whole (commandline -ct | string replace -r '^--[a-z-]+=' '' | string trim -l -c "
    "'\\'\"')\n"
    "    set -l head (string replace -r '[^ (]*$' '' -- $whole)\n"
    "    for word in $__netscopectl_fields\n"
    "        echo $head$word\n"
    "    end\n"
    "end\n"
    "complete -c netscopectl -f\n";

void completion_fish(struct output *out, command_list commands)
{
    put(out, "# fish completion of netscopectl " NETSCOPE_VERSION
             ": netscopectl completion fish | source\n"
             "set -g __netscopectl_fields ");
    put_filter_words(out);
    put(out, "\nset -g __netscopectl_pairs");
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (command_group_length(commands[i]) > 0) {
            put(out, " '%s'", commands[i]->name);
        }
    }
    put(out, "\n");
    output_write(out, functions, strlen(functions));
    put_names(out, commands);
    for (size_t i = 0; commands[i] != NULL; i++) {
        put_command(out, commands[i]);
    }
}
