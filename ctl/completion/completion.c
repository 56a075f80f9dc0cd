/* `netscopectl completion`: a script that a shell reads. */
#include "ctl/completion/completion.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/ascii.h"
#include "ctl/flags.h"
#include "ctl/message.h"
#include "proto/filter/filter.h"

#define SHELLS "bash zsh fish"

void put(struct output *out, const char *format, ...)
{
    char text[4096];
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < sizeof(text)); /* our own tables */
    output_write(out, text, (size_t)length);
}

void put_quoted(struct output *out, const char *text, const char *quote, const char *specials)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            put(out, "%s", quote);
        } else {
            put(out, "%s%c", strchr(specials, *text) != NULL ? "\\" : "", *text);
        }
    }
}

/* ---- commands ---- */

size_t command_group_length(const struct ctl_command *command)
{
    const char *space = strchr(command->name, ' ');

    return space == NULL ? 0 : (size_t)(space - command->name);
}

bool command_is_first(command_list commands, size_t number)
{
    const size_t length = strcspn(commands[number]->name, " ");

    for (size_t i = 0; i < number; i++) {
        if (strcspn(commands[i]->name, " ") == length &&
            strncmp(commands[i]->name, commands[number]->name, length) == 0) {
            return false;
        }
    }
    return true;
}

void put_first_summary(struct output *out, command_list commands, size_t number, const char *quote,
                       const char *specials)
{
    if (command_group_length(commands[number]) == 0) {
        put_quoted(out, commands[number]->summary, quote, specials);
    } else { /* a group without a command of its own */
        put_quoted(out, "settings of sensors", quote, specials);
    }
}

/* ---- values ---- */

/* "a|b|labels.*" as "a b": what goes on behind the point is the site's own. */
static void spread(const char *values, char words[COMPLETION_WORDS_BYTES])
{
    size_t used = 0;

    while (*values != '\0') {
        const size_t length = strcspn(values, "|");

        if (length > 0 && values[length - 1] != '*') {
            used += (size_t)snprintf(words + used, COMPLETION_WORDS_BYTES - used, "%s%.*s",
                                     used > 0 ? " " : "", (int)length, values);
            assert(used < COMPLETION_WORDS_BYTES);
        }
        values += length + (values[length] == '|' ? 1 : 0);
    }
}

/* The kinds of alerts, from the descriptors. */
static void spread_kinds(char words[COMPLETION_WORDS_BYTES])
{
    const char *names[CHOICES_MAX];
    const unsigned count =
        message_choices("CreateSilenceRequest", "kinds", "ALERT_KIND_", names, CHOICES_MAX);
    size_t used = 0;

    for (unsigned i = 0; i < count; i++) {
        used += (size_t)snprintf(words + used, COMPLETION_WORDS_BYTES - used, "%s%s",
                                 i > 0 ? " " : "", names[i]);
        assert(used < COMPLETION_WORDS_BYTES);
    }
    for (char *at = words; *at != '\0'; at++) {
        *at = ascii_lower(*at);
    }
}

enum completion_kind completion_of_flag(const struct command_flag *flag,
                                        char words[COMPLETION_WORDS_BYTES])
{
    const char *values = flags_values(flag);

    words[0] = '\0';
    if (flag->argument == NULL) {
        return COMPLETE_NONE;
    }
    if (values == NULL) {
        return COMPLETE_ANY;
    }
    if (strcmp(values, "@file") == 0) {
        return COMPLETE_FILE;
    }
    if (strcmp(values, "@filter") == 0) {
        return COMPLETE_FILTER;
    }
    if (strcmp(values, "@kind") == 0) {
        spread_kinds(words);
    } else {
        spread(values, words);
    }
    return flags_is_plural(flag->argument) ? COMPLETE_LIST : COMPLETE_WORDS;
}

enum completion_kind completion_of_operand(const struct ctl_command *command,
                                           char words[COMPLETION_WORDS_BYTES])
{
    words[0] = '\0';
    if (command->operand == NULL) {
        return COMPLETE_NONE;
    }
    if (strcmp(command->operand, "FILE") == 0) {
        return COMPLETE_FILE;
    }
    if (strcmp(command->operand, "SHELL") == 0) {
        (void)snprintf(words, COMPLETION_WORDS_BYTES, "%s", SHELLS);
        return COMPLETE_WORDS;
    }
    return COMPLETE_ANY;
}

void put_filter_words(struct output *out)
{
    for (size_t i = 0; i < filter_fields_count; i++) {
        const char *name = filter_fields[i].name;
        const char *key = strstr(name, "KEY"); /* "labels.KEY": the key is the site's own */

        put(out, "%.*s ", key != NULL ? (int)(key - name) : (int)strlen(name), name);
    }
    put(out, "AND OR NOT IN");
}

/* ---- the command ---- */

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    static const struct {
        const char *name;
        void (*write)(struct output *out, command_list commands);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    const char *given = ctl->options.operands[0];

    for (size_t i = 0; i < ARRAY_COUNT(shells); i++) {
        if (strcmp(given, shells[i].name) == 0) {
            shells[i].write(&ctl->out, ctl->commands);
            return CTL_OK;
        }
    }
    (void)error_set(err, EINVAL, "completion %s: there is one for bash, zsh and fish", given);
    return CTL_USAGE;
}

const struct ctl_command completion_command = {
    .name = "completion",
    .bit = FOR_COMPLETION,
    .operand = "SHELL",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a script by which bash, zsh or fish complete commands, flags and their values",
    .examples =
        "  source <(netscopectl completion bash)                 in this shell, or in ~/.bashrc\n"
        "  netscopectl completion bash > /usr/share/bash-completion/completions/netscopectl\n"
        "  netscopectl completion zsh > /usr/local/share/zsh/site-functions/_netscopectl\n"
        "  netscopectl completion fish > ~/.config/fish/completions/netscopectl.fish\n",
    .run = run,
};
