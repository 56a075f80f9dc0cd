/* `netscopectl fields`: the fields of the filter language, and how a filter was understood. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/json_writer.h"
#include "ctl/command.h"
#include "ctl/filter_text.h"
#include "ctl/json_list.h"
#include "ctl/table.h"

#define ROW_BYTES 1024

static const struct table_column columns[] = {
    {"FIELD", TABLE_WORD}, {"TYPE", TABLE_WORD}, {"MEANING", TABLE_TEXT}};

/* In name, type or meaning, in any case. */
static bool is_wanted(const struct filter_field *field, const char *text)
{
    return text == NULL || strcasestr(field->name, text) != NULL ||
           strcasestr(field->type, text) != NULL || strcasestr(field->help, text) != NULL;
}

static bool is_any_wanted(const char *text)
{
    for (size_t i = 0; i < filter_fields_count; i++) {
        if (is_wanted(&filter_fields[i], text)) {
            return true;
        }
    }
    return false;
}

static bool put_table(struct ctl *ctl, const char *text, struct error *err)
{
    AUTO(table) table = table_new(columns, ARRAY_COUNT(columns), err);

    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < filter_fields_count; i++) {
        if (is_wanted(&filter_fields[i], text)) {
            table_put(table, SHOW_NAME, "%s", filter_fields[i].name);
            table_put(table, SHOW_PLAIN, "%s", filter_fields[i].type);
            table_put(table, SHOW_PLAIN, "%s", filter_fields[i].help);
        }
    }
    return table_write(table, &ctl->out, err);
}

static bool put_json(struct ctl *ctl, const char *text, struct error *err)
{
    struct json_list json;

    if (json_list_begin(&json, &ctl->out, ctl->options.form, err) != 0) {
        return false;
    }
    for (size_t i = 0; i < filter_fields_count; i++) {
        char row[ROW_BYTES];
        struct json_writer w;

        if (!is_wanted(&filter_fields[i], text)) {
            continue;
        }
        json_init(&w, row, sizeof(row));
        json_object_begin(&w);
        json_key(&w, "name");
        json_text(&w, filter_fields[i].name);
        json_key(&w, "type");
        json_text(&w, filter_fields[i].type);
        json_key(&w, "meaning");
        json_text(&w, filter_fields[i].help);
        json_object_end(&w);
        json_list_put_text(&json, row, w.length);
    }
    json_list_end(&json);
    return true;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    const char *text = ctl->options.operands_count > 0 ? ctl->options.operands[0] : NULL;

    if (ctl->options.filter != NULL) {
        AUTO(filter) filter = filter_read(ctl->options.filter, err);

        if (filter == NULL) {
            return CTL_USAGE;
        }
        filter_print(filter, &ctl->out);
        return CTL_OK;
    }
    const bool is_json = form_is_json(ctl->options.form);
    const bool is_found = is_any_wanted(text);
    const bool is_put = is_json     ? put_json(ctl, text, err)
                        : !is_found ? true
                                    : put_table(ctl, text, err);

    if (!is_found) {
        tell("no field has '%s' in name, type or meaning; netscopectl fields lists all of them",
             text);
    }
    return is_put && is_found ? CTL_OK : CTL_FAILED;
}

const struct ctl_command fields_command = {
    .name = "fields",
    .bit = FOR_FIELDS,
    .operand = "[TEXT]",
    .operands_max = 1,
    .summary = "the fields that --filter knows, and how a filter was understood",
    .examples =
        "  netscopectl fields                                    all of them\n"
        "  netscopectl fields tcp                                those with this in name or "
        "meaning\n"
        "  netscopectl fields --filter 'app = dns OR app = tls server.port = 443'\n"
        "\nOperators: = != < <= > >= and : (part of a text); * stands for anything. Words side by "
        "side\n"
        "are joined by AND, which binds closer than OR; NOT or - turns round; parentheses; IN (a, "
        "b).\n"
        "A word without a field matches any address, name or application. Addresses take prefixes\n"
        "(10.0.0.0/8), durations and sizes units (80ms, 1MiB). A value that a record does not "
        "have\n"
        "matches != and NOT alone. No server is asked.\n",
    .run = run,
};
