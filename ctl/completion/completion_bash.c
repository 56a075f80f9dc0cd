/* Bash alone: no function of the package bash-completion is needed. */
#include <string.h>

#include "ctl/completion/completion.h"
#include "ctl/flags.h"

/* What a shell function gives back for a flag's argument. */
static void put_values(struct output *out, enum completion_kind kind, const char *words)
{
    static const char *const names[] = {
        [COMPLETE_ANY] = "@any", [COMPLETE_FILE] = "@file", [COMPLETE_FILTER] = "@filter"};

    put(out, "echo '%s' ;;\n",
        kind == COMPLETE_WORDS || kind == COMPLETE_LIST ? words : names[kind]);
}

static void put_flags(struct output *out, const struct ctl_command *command)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    const uint32_t count = flags_of(command, flags);

    put(out, "    '%s') echo '", command->name);
    for (uint32_t i = 0; i < count; i++) {
        put(out, "%s--%s", i > 0 ? " " : "", flags[i].name);
    }
    put(out, "' ;;\n");
}

static void put_arguments(struct output *out, const struct ctl_command *command)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    const uint32_t count = flags_of(command, flags);
    char words[COMPLETION_WORDS_BYTES];

    for (uint32_t i = 0; i < count; i++) {
        const enum completion_kind kind = completion_of_flag(&flags[i], words);

        if (kind == COMPLETE_NONE) {
            continue;
        }
        put(out, "    '%s --%s'", command->name, flags[i].name);
        if (flags[i].letter != 0) {
            put(out, " | '%s -%c'", command->name, flags[i].letter);
        }
        put(out, ") ");
        put_values(out, kind, words);
    }
}

/* First words, and the second ones of each group. */
static void put_names(struct output *out, command_list commands)
{
    put(out, "_netscopectl_names() {\n    case \"$1\" in\n    '') echo '");
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (command_is_first(commands, i)) {
            put(out, "%.*s ", (int)strcspn(commands[i]->name, " "), commands[i]->name);
        }
    }
    put(out, "' ;;\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const size_t length = strcspn(commands[i]->name, " ");

        if (!command_is_first(commands, i)) {
            continue;
        }
        put(out, "    '%.*s') echo '", (int)length, commands[i]->name);
        for (size_t j = 0; commands[j] != NULL; j++) {
            if (command_group_length(commands[j]) == length &&
                strncmp(commands[j]->name, commands[i]->name, length) == 0) {
                put(out, "%s ", commands[j]->name + length + 1);
            }
        }
        put(out, "' ;;\n");
    }
    put(out, "    esac\n}\n");
}

static const char functions[] =
    "# The words of $1 that begin with what stands behind the last comma of $2.\n"
    "_netscopectl_words() {\n"
    "    local head= tail=$2\n"
    "    if [[ $tail == *,* ]]; then\n"
    "        head=${tail%,*},\n"
    "        tail=${tail##*,}\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -P \"$head\" -W \"$1\" -- \"$tail\"))\n"
    "}\n"
    "# The last word of a filter, which may stand in quotes with spaces.\n"
    "_netscopectl_filter() {\n"
    "    local whole=$1 head tail word is_quoted=\n"
    "    if [[ $whole == [\\'\\\"]* ]]; then\n"
    "        whole=${whole:1}\n"
    "        is_quoted=yes\n"
    "    fi\n"
    "    tail=${whole##*[ (]}\n"
    "    head=${whole%\"$tail\"}\n"
    "    COMPREPLY=()\n"
    "    for word in $(compgen -W \"$_netscopectl_fields\" -- \"$tail\"); do\n"
    "        COMPREPLY+=(\"$head$word\")\n"
    "    done\n"
    "    # A single match would close the quote, and the filter goes on.\n"
    "    [[ $is_quoted && ${#COMPREPLY[@]} == 1 ]] && COMPREPLY+=(\"${COMPREPLY[0]} \")\n"
    "    compopt -o nospace 2>/dev/null\n"
    "}\n"
    "_netscopectl_argument() {\n"
    "    case \"$1\" in\n"
    "    @any) COMPREPLY=() ;;\n"
    "    @file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$2\")) ;;\n"
    "    @filter) _netscopectl_filter \"$2\" ;;\n"
    "    *) _netscopectl_words \"$1\" \"$2\" ;;\n"
    "    esac\n"
    "}\n"
    "_netscopectl() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command=${COMP_WORDS[1]} second=${COMP_WORDS[2]-} seconds values IFS=$' \\t\\n'\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        _netscopectl_words \"$(_netscopectl_names '') help --help --version\" \"$current\"\n"
    "        return\n"
    "    fi\n"
    "    seconds=\" $(_netscopectl_names \"$command\")\"\n"
    "    if ((COMP_CWORD == 2)) && [[ $seconds != ' ' && $current != -* ]]; then\n"
    "        _netscopectl_words \"$seconds\" \"$current\"\n"
    "        return\n"
    "    fi\n"
    "    [[ -n $second && $seconds == *\" $second \"* ]] && command=\"$command $second\"\n"
    "    # --output=json comes as three words\n"
    "    [[ $current == '=' ]] && current=\n"
    "    [[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    if values=$(_netscopectl_values \"$command $before\"); then\n"
    "        _netscopectl_argument \"$values\" \"$current\"\n"
    "    elif [[ $current == -* ]]; then\n"
    "        _netscopectl_words \"$(_netscopectl_flags \"$command\")\" \"$current\"\n"
    "    elif values=$(_netscopectl_operand \"$command\"); then\n"
    "        _netscopectl_argument \"$values\" \"$current\"\n"
    "    else\n"
    "        _netscopectl_words \"$(_netscopectl_flags \"$command\")\" \"$current\"\n"
    "    fi\n"
    "}\n"
    "complete -F _netscopectl netscopectl\n";

static void put_operand(struct output *out, const struct ctl_command *command)
{
    char words[COMPLETION_WORDS_BYTES];
    const enum completion_kind kind = completion_of_operand(command, words);

    if (kind != COMPLETE_NONE && kind != COMPLETE_ANY) {
        put(out, "    '%s') ", command->name);
        put_values(out, kind, words);
    }
}

/* One function of the shell: a case for each command. */
static void put_function(struct output *out, const char *name, command_list commands,
                         void (*put_case)(struct output *out, const struct ctl_command *command))
{
    put(out, "%s() {\n    case \"$1\" in\n", name);
    for (size_t i = 0; commands[i] != NULL; i++) {
        put_case(out, commands[i]);
    }
    put(out, "    *) return 1 ;;\n    esac\n}\n");
}

void completion_bash(struct output *out, command_list commands)
{
    put(out, "# bash completion of netscopectl " NETSCOPE_VERSION
             ": source <(netscopectl completion bash)\n"
             "_netscopectl_fields='");
    put_filter_words(out);
    put(out, "'\n");
    put_names(out, commands);
    put_function(out, "_netscopectl_flags", commands, put_flags);
    put_function(out, "_netscopectl_values", commands, put_arguments);
    put_function(out, "_netscopectl_operand", commands, put_operand);
    output_write(out, functions, strlen(functions));
}
