#include <string.h>

#include "ctl/completion/completion.h"
#include "ctl/flags.h"

#define QUOTE    "'\\''"
#define SPECIALS "[]:\\"

/* ":ARG:what it may be" of a specification of _arguments, inside single quotes. */
static void put_action(struct output *out, const char *argument, enum completion_kind kind,
                       const char *words)
{
    put(out, ":%s:", argument);
    switch (kind) {
    case COMPLETE_FILE:
        put(out, "_files");
        break;
    case COMPLETE_FILTER:
        put(out, "_netscopectl_filter");
        break;
    case COMPLETE_WORDS:
        put(out, "(%s)", words);
        break;
    case COMPLETE_LIST:
        put(out, "_sequence compadd - %s", words);
        break;
    default:
        put(out, " ");
    }
}

/* One way of writing a flag: `is_letter`: its short form. */
static void put_form(struct output *out, const struct command_flag *flag, bool is_letter)
{
    char words[COMPLETION_WORDS_BYTES];
    const enum completion_kind kind = completion_of_flag(flag, words);

    put(out, "            '");
    if (flag->letter != 0) {
        put(out, "(-%c --%s)", flag->letter, flag->name);
    }
    if (is_letter) {
        put(out, "-%c%s", flag->letter, kind != COMPLETE_NONE ? "+" : "");
    } else {
        put(out, "--%s%s", flag->name, kind != COMPLETE_NONE ? "=" : "");
    }
    put(out, "[");
    put_quoted(out, flag->help, QUOTE, SPECIALS);
    put(out, "]");
    if (kind != COMPLETE_NONE) {
        put_action(out, flag->argument, kind, words);
    }
    put(out, "' \\\n");
}

static void put_command(struct output *out, const struct ctl_command *command)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    const uint32_t count = flags_of(command, flags);
    char words[COMPLETION_WORDS_BYTES];
    const enum completion_kind kind = completion_of_operand(command, words);

    put(out, "    '%s')\n        _arguments -s -S \\\n", command->name);
    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].letter != 0) {
            put_form(out, &flags[i], true);
        }
        put_form(out, &flags[i], false);
    }
    if (kind != COMPLETE_NONE) {
        put(out, "            '*");
        put_action(out, command->operand, kind, words);
        put(out, "' \\\n");
    }
    put(out, "            && return 0 ;;\n");
}

/* "'word:what it does'", for _describe. */
static void put_names(struct output *out, command_list commands)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (command_is_first(commands, i)) {
            put(out, "        '%.*s:", (int)strcspn(commands[i]->name, " "), commands[i]->name);
            put_first_summary(out, commands, i, QUOTE, SPECIALS);
            put(out, "'\n");
        }
    }
}

static void put_groups(struct output *out, command_list commands)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        const size_t length = strcspn(commands[i]->name, " ");
        bool is_group = false;

        if (!command_is_first(commands, i)) {
            continue;
        }
        for (size_t j = 0; commands[j] != NULL; j++) {
            if (command_group_length(commands[j]) == length &&
                strncmp(commands[j]->name, commands[i]->name, length) == 0) {
                if (!is_group) {
                    put(out, "    %.*s) names=(\n", (int)length, commands[i]->name);
                }
                put(out, "        '%s:", commands[j]->name + length + 1);
                put_quoted(out, commands[j]->summary, QUOTE, SPECIALS);
                put(out, "'\n");
                is_group = true;
            }
        }
        put(out, "%s", is_group ? "        ) ;;\n" : "");
    }
}

void completion_zsh(struct output *out, command_list commands)
{
    put(out, "#compdef netscopectl\n"
             "# zsh completion of netscopectl " NETSCOPE_VERSION ": netscopectl completion zsh\n"
             "_netscopectl_filter() {\n"
             "    compset -P '*[ (]'\n"
             "    compadd -S '' -- ");
    put_filter_words(out);
    put(out, "\n}\n"
             "_netscopectl() {\n"
             "    local command=$words[2] second=$words[3] pair\n"
             "    local -a names\n"
             "    if (( CURRENT == 2 )); then\n"
             "        names=(\n");
    put_names(out, commands);
    put(out, "        )\n"
             "        _describe -t commands 'command of netscopectl' names\n"
             "        return\n"
             "    fi\n"
             "    case $command in\n");
    put_groups(out, commands);
    put(out, "    esac\n"
             "    if (( CURRENT == 3 && $#names > 0 )) && [[ $second != -* ]]; then\n"
             "        _describe -t commands \"command of netscopectl $command\" names\n"
             "        return\n"
             "    fi\n"
             "    for pair in $names; do\n"
             "        if [[ ${pair%%%%:*} == $second ]]; then\n"
             "            command=\"$command $second\"\n"
             "            shift words\n"
             "            (( CURRENT-- ))\n"
             "            break\n"
             "        fi\n"
             "    done\n"
             "    shift words\n"
             "    (( CURRENT-- ))\n"
             "    case $command in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        put_command(out, commands[i]);
    }
    put(out, "    esac\n"
             "    return 1\n"
             "}\n"
             "if [[ $funcstack[1] == _netscopectl ]]; then\n"
             "    _netscopectl \"$@\"\n"
             "elif (( $+functions[compdef] )); then\n"
             "    compdef _netscopectl netscopectl\n"
             "fi\n");
}
