#include "base/config/command.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/name_slips.h"

#define LONG_BASE 1000

static void short_options(const struct command_flag *flags, uint32_t count, char *out)
{
    *out++ = ':'; /* tell a missing argument from an unknown option */
    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].letter != 0) {
            *out++ = flags[i].letter;
            if (flags[i].argument != NULL) {
                *out++ = ':';
            }
        }
    }
    *out = '\0';
}

static uint32_t flag_of(const struct command_line *line, int code)
{
    for (uint32_t i = 0; code < LONG_BASE && i < line->count; i++) {
        if (line->flags[i].letter == code) {
            return i;
        }
    }
    return (uint32_t)(code - LONG_BASE);
}

/* NULL: none is near. */
static const char *nearest_flag(const struct command_line *line, const char *given)
{
    const size_t length = strcspn(given, "=");
    struct name_nearest nearest = name_nearest_start(length);

    for (uint32_t i = 0; i < line->count; i++) {
        const char *name = line->flags[i].name;

        name_nearest_offer(&nearest, name, name_slips(given, length, name, strlen(name)));
    }
    return nearest.name;
}

static int refuse_unknown(const struct command_line *line, const char *given, struct error *err)
{
    const char *nearest = strncmp(given, "--", 2) == 0 ? nearest_flag(line, given + 2) : NULL;

    return nearest == NULL
               ? error_set(err, EINVAL, "%s: unknown option (see --help)", given)
               : error_set(err, EINVAL, "%s: unknown option; did you mean --%s? (see --help)",
                           given, nearest);
}

static int read_all(struct command_line *line, uint32_t operands_max, int argc, char **argv,
                    struct error *err)
{
    struct option options[COMMAND_FLAGS_MAX + 1] = {0};
    char letters[3 * COMMAND_FLAGS_MAX + 2];
    int code;

    for (uint32_t i = 0; i < line->count; i++) {
        options[i] = (struct option){
            line->flags[i].name, line->flags[i].argument != NULL ? required_argument : no_argument,
            NULL, LONG_BASE + (int)i};
    }
    short_options(line->flags, line->count, letters);
    optind = 0; /* glibc forgets what it kept of an earlier list */
    opterr = 0;
    while ((code = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (code == ':') {
            return error_set(err, EINVAL, "%s: needs a value (see --help)", argv[optind - 1]);
        }
        if (code == '?') {
            return refuse_unknown(line, argv[optind - 1], err);
        }
        const uint32_t flag = flag_of(line, code);

        line->is_given[flag] = true;
        line->argument[flag] = optarg;
        line->verbosity += line->flags[flag].action == COMMAND_VERBOSE;
        if (line->flags[flag].action == COMMAND_ADD) {
            line->added[line->added_count++] = optarg;
        }
    }
    /* --read-pcap *.pcap, as the shell hands it over. */
    for (; line->added_count > 0 && optind < argc; optind++) {
        line->added[line->added_count++] = argv[optind];
    }
    line->operands = argv + optind;
    for (; line->operands_count < operands_max && optind < argc; optind++) {
        line->operands_count++;
    }
    line->unexpected = optind < argc ? argv[optind] : NULL;
    return optind < argc
               ? error_set(err, EINVAL, "%s: unexpected argument (see --help)", argv[optind])
               : 0;
}

int command_line_read(struct command_line *line, const struct command_flag *flags, uint32_t count,
                      int argc, char **argv, struct error *err)
{
    return command_line_read_operands(line, flags, count, 0, argc, argv, err);
}

int command_line_read_operands(struct command_line *line, const struct command_flag *flags,
                               uint32_t count, uint32_t operands_max, int argc, char **argv,
                               struct error *err)
{
    assert(count <= COMMAND_FLAGS_MAX);
    *line = (struct command_line){
        .flags = flags, .count = count, .added = calloc((size_t)argc + 1, sizeof(char *))};
    return line->added == NULL ? error_set(err, ENOMEM, "arguments: no memory")
                               : read_all(line, operands_max, argc, argv, err);
}

int command_line_explain(const struct command_line *line, const char *program,
                         const char *const *commands, const char *otherwise, struct error *err)
{
    const char *given = line->unexpected;

    if (given == NULL) {
        return -err->code;
    }
    struct name_nearest nearest = name_nearest_start(strlen(given));

    for (; *commands != NULL; commands++) {
        if (strcmp(given, *commands) == 0) {
            return error_set(err, EINVAL, "%s: a command comes first: %s %s ... (see --help)",
                             given, program, given);
        }
        name_nearest_offer(&nearest, *commands,
                           name_slips(given, strlen(given), *commands, strlen(*commands)));
    }
    return nearest.name != NULL
               ? error_set(err, EINVAL, "%s: unknown command; did you mean %s? (see --help)", given,
                           nearest.name)
               : error_set(err, EINVAL, "%s: unexpected argument; %s (see --help)", given,
                           otherwise);
}

void command_line_fini(struct command_line *line)
{
    free(line->added);
    line->added = NULL;
}

int command_line_note(const struct command_line *line,
                      int (*note)(void *context, int action, const char *argument,
                                  struct error *err),
                      void *context, struct error *err)
{
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < line->count; i++) {
        if (line->is_given[i] && line->flags[i].action >= COMMAND_OWN) {
            result = note(context, line->flags[i].action, line->argument[i], err);
        }
    }
    return result;
}

static bool has(const struct command_line *line, const char *name)
{
    for (uint32_t i = 0; i < line->count; i++) {
        if (strcmp(line->flags[i].name, name) == 0) {
            return line->is_given[i];
        }
    }
    return false;
}

int command_line_exclude(const struct command_line *line, const char *a, const char *b,
                         struct error *err)
{
    return has(line, a) && has(line, b)
               ? error_set(err, EINVAL, "--%s and --%s exclude each other", a, b)
               : 0;
}

static int apply(const struct command_line *line, uint32_t number, struct config *config,
                 struct error *err)
{
    const struct command_flag *flag = &line->flags[number];
    char origin[64];
    int result;

    (void)snprintf(origin, sizeof(origin), "--%s", flag->name);
    switch (flag->action) {
    case COMMAND_ADD:
        return config_set_list(config, flag->path, line->added, line->added_count, origin, err);
    case COMMAND_FIXED:
        return config_set(config, flag->path, flag->value, origin, err);
    case COMMAND_SET:
        result = config_set(config, flag->path, line->argument[number], origin, err);
        return result == 0 && flag->value != NULL
                   ? config_set(config, flag->value, "true", origin, err)
                   : result;
    default:
        return 0;
    }
}

int command_line_apply(const struct command_line *line, struct config *config, struct error *err)
{
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < line->count; i++) {
        result = line->is_given[i] ? apply(line, i, config, err) : 0;
    }
    return result;
}

/* ---- printed ---- */

void command_print_help(const struct command_flag *flags, uint32_t count, int width, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", flags[i].letter != 0 ? '-' : ' ',
                       flags[i].letter != 0 ? flags[i].letter : ' ',
                       flags[i].letter != 0 ? "," : " ", flags[i].name,
                       flags[i].argument != NULL ? " " : "",
                       flags[i].argument != NULL ? flags[i].argument : "");
        (void)fprintf(out, "  %-*s %s\n", width, left, flags[i].help);
    }
}

/* A bar would end the cell of the table, in code too. */
static void put_cell(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        (void)fputs(*text == '|' ? "\\|" : (char[]){*text, '\0'}, out);
    }
}

void command_print_markdown(const struct command_flag *flags, uint32_t count, FILE *out)
{
    (void)fputs("| flag | setting | meaning |\n| --- | --- | --- |\n", out);
    for (uint32_t i = 0; i < count; i++) {
        char letter[8] = "";

        if (flags[i].letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", flags[i].letter);
        }
        (void)fprintf(out, "| `%s--%s%s", letter, flags[i].name,
                      flags[i].argument != NULL ? " " : "");
        put_cell(flags[i].argument != NULL ? flags[i].argument : "", out);
        (void)fprintf(out, "` | %s%s%s | ", flags[i].path != NULL ? "`" : "",
                      flags[i].path != NULL ? flags[i].path : "", flags[i].path != NULL ? "`" : "");
        put_cell(flags[i].help, out);
        (void)fputs(" |\n", out);
    }
}
