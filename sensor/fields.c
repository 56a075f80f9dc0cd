#include "sensor/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/json_writer.h"
#include "proto/json/field_table.h"
#include "proto/json/service_index.h"
#include "proto/json/transcoder.h"

#define PATH_BYTES  256
#define PACKAGE     "netscope.v1."
#define DEPTH_MAX   6
#define JSON_BYTES  ((size_t)1024 * 1024)
#define EXIT_WRONG  2
#define EXIT_FAILED 1
#define LINE        "%-12s %-42s %-24s %-10s %-11s %-42s %-36s %s\n"

/* One field of a record, whichever way it is written. */
struct shown {
    const char *record, *path, *type, *description, *cardinality;
    const struct field_row *row;
};

struct printer {
    FILE *out;
    struct json_writer *json;
    enum fields_format format;
    const char *record;
};

static const char *type_name(const struct json_field *field, char out[PATH_BYTES])
{
    static const char *const names[] = {
        [TYPE_DOUBLE] = "double",     [TYPE_FLOAT] = "float",     [TYPE_INT64] = "int64",
        [TYPE_UINT64] = "uint64",     [TYPE_INT32] = "int32",     [TYPE_FIXED64] = "fixed64",
        [TYPE_FIXED32] = "fixed32",   [TYPE_BOOL] = "bool",       [TYPE_STRING] = "string",
        [TYPE_GROUP] = "group",       [TYPE_MESSAGE] = "message", [TYPE_BYTES] = "bytes",
        [TYPE_UINT32] = "uint32",     [TYPE_ENUM] = "enum",       [TYPE_SFIXED32] = "sfixed32",
        [TYPE_SFIXED64] = "sfixed64", [TYPE_SINT32] = "sint32",   [TYPE_SINT64] = "sint64"};
    const char *name = field->type < ARRAY_COUNT(names) ? names[field->type] : "?";

    if (field->is_map) {
        return "map<string, string>";
    }
    if (field->type == TYPE_MESSAGE) {
        name = strrchr(field->message->full_name, '.') + 1;
    } else if (field->type == TYPE_ENUM) {
        name = strrchr(field->enumeration->full_name, '.') + 1;
    }
    (void)snprintf(out, PATH_BYTES, "%s%s", field->is_repeated ? "repeated " : "", name);
    return out;
}

/* '|' ends a cell, and '*' and '_' may make it italic. */
static void cell(FILE *out, const char *text)
{
    (void)fputs(" ", out);
    for (const char *at = text; *at != '\0'; at++) {
        if (strchr("|*_<", *at) != NULL) {
            (void)fputc('\\', out);
        }
        (void)fputc(*at, out);
    }
    (void)fputs(" |", out);
}

static void show_json(struct json_writer *json, const struct shown *shown)
{
    const struct {
        const char *key, *value;
    } members[] = {{"record", shown->record},
                   {"path", shown->path},
                   {"type", shown->type},
                   {"unit", shown->row->unit},
                   {"ipfix", shown->row->ipfix},
                   {"ecs", shown->row->ecs},
                   {"otel", shown->row->otel},
                   {"cardinality", shown->cardinality},
                   {"description", shown->description}};

    json_object_begin(json);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        json_key(json, members[i].key);
        json_text(json, members[i].value);
    }
    json_object_end(json);
}

static void show(const struct printer *printer, const struct shown *shown)
{
    switch (printer->format) {
    case FIELDS_JSON:
        show_json(printer->json, shown);
        break;
    case FIELDS_MARKDOWN:
        (void)fprintf(printer->out, "| `%s` |", shown->path);
        cell(printer->out, shown->type);
        cell(printer->out, shown->row->unit);
        cell(printer->out, shown->row->ipfix);
        cell(printer->out, shown->row->ecs);
        cell(printer->out, shown->row->otel);
        cell(printer->out, shown->cardinality);
        cell(printer->out, shown->description);
        (void)fputc('\n', printer->out);
        break;
    default:
        (void)fprintf(printer->out, LINE, shown->record, shown->path, shown->type, shown->row->unit,
                      shown->cardinality, shown->row->ipfix, shown->row->ecs, shown->row->otel);
        break;
    }
}

/* Rows name both ends and both directions; a path is of one of them: what begins with the other's
 * words is left out. */
static const char *pick(const char *names, const char *path, char out[PATH_BYTES])
{
    const bool is_client = strncmp(path, "client.", 7) == 0 || strncmp(path, "forward.", 8) == 0 ||
                           strncmp(path, "attackers", 9) == 0;
    const bool is_server = strncmp(path, "server.", 7) == 0 || strncmp(path, "reverse.", 8) == 0 ||
                           strncmp(path, "victims", 7) == 0;
    size_t length = 0;

    out[0] = '\0';
    for (const char *at = names; *at != '\0'; at += strspn(at, ", ")) {
        const size_t name = strcspn(at, ",");
        const bool has_client = strncmp(at, "client", 6) == 0 || strncmp(at, "source", 6) == 0;
        const bool has_server =
            strncmp(at, "server", 6) == 0 || strncmp(at, "destination", 11) == 0;

        if (!(is_client && has_server) && !(is_server && has_client)) {
            length += (size_t)snprintf(out + length, PATH_BYTES - length, "%s%.*s",
                                       length > 0 ? ", " : "", (int)name, at);
        }
        at += name;
    }
    return out;
}

/* A server's port says what is served; a client's is as good as random. */
static const char *label_of(const char *path, const char *name, const struct json_field *field)
{
    return strcmp(path, "client.port") == 0 ? "avoid" : field_cardinality(name, field);
}

/* Fields of a message, and of those in it behind a dot. */
static void walk(const struct printer *printer, // NOLINT(misc-no-recursion)
                 const struct json_message *message, const char *prefix, unsigned depth)
{
    static const struct field_row no_row = {"", "", "", "", ""};

    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        char path[PATH_BYTES];
        char type[PATH_BYTES];
        char name[PATH_BYTES];

        (void)snprintf(path, sizeof(path), "%s%s", prefix, field->name);
        (void)snprintf(name, sizeof(name), "%s.%s", message->full_name, field->name);
        const struct field_row *row = field_row_find(name + strlen(PACKAGE));
        char ipfix[PATH_BYTES];
        char ecs[PATH_BYTES];
        char otel[PATH_BYTES];
        const struct field_row own = row == NULL ? no_row : *row;
        const struct field_row picked = {.name = own.name,
                                         .unit = own.unit,
                                         .ipfix = pick(own.ipfix, path, ipfix),
                                         .ecs = pick(own.ecs, path, ecs),
                                         .otel = pick(own.otel, path, otel)};
        const struct shown shown = {.record = printer->record,
                                    .path = path,
                                    .type = type_name(field, type),
                                    .description = json_comment(name),
                                    .cardinality = label_of(path, name + strlen(PACKAGE), field),
                                    .row = &picked};

        show(printer, &shown);
        if (field->type == TYPE_MESSAGE && field->message->form == FORM_PLAIN && !field->is_map &&
            depth < DEPTH_MAX) {
            (void)strncat(path, field->is_repeated ? "[]." : ".", sizeof(path) - strlen(path) - 1);
            walk(printer, field->message, path, depth + 1);
        }
    }
}

static void print_head(const struct printer *printer, const char *record)
{
    char name[PATH_BYTES];

    if (printer->format != FIELDS_MARKDOWN) {
        return;
    }
    (void)snprintf(name, sizeof(name), PACKAGE "%s", record);
    (void)fprintf(
        printer->out,
        "\n## %s\n\n%s\n\n| field | type | unit | IPFIX | ECS | OpenTelemetry | cardinality | "
        "meaning |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        record, json_comment(name));
}

int fields_print(FILE *out, enum fields_format format, struct error *err)
{
    struct json_writer json;
    char *text = malloc(JSON_BYTES);
    struct printer printer = {.out = out, .json = &json, .format = format};

    if (text == NULL) {
        return error_set(err, ENOMEM, "fields: no memory");
    }
    json_init(&json, text, JSON_BYTES);
    json_array_begin(&json);
    if (format == FIELDS_TEXT) {
        (void)fprintf(out, LINE, "record", "field", "type", "unit", "cardinality", "IPFIX", "ECS",
                      "OpenTelemetry");
    }
    for (unsigned i = 0; field_records[i] != NULL; i++) {
        char name[PATH_BYTES];

        (void)snprintf(name, sizeof(name), PACKAGE "%s", field_records[i]);
        printer.record = field_records[i];
        print_head(&printer, field_records[i]);
        walk(&printer, json_message_find(name), "", 0);
    }
    json_array_end(&json);
    if (format == FIELDS_JSON) {
        (void)fwrite(text, 1, json.length, out);
        (void)fputc('\n', out);
    }
    free(text);
    return fflush(out) != 0 || ferror(out) != 0
               ? error_set(err, EIO, "fields: a write to standard output failed")
               : 0;
}

int fields_main(int argc, char **argv)
{
    static const char *const formats[] = {"text", "json", "markdown"};
    enum fields_format format = FIELDS_TEXT;
    struct error err = {0};

    for (int i = 2; i < argc; i++) {
        const bool has_equals = strncmp(argv[i], "--format=", 9) == 0;
        const char *value = has_equals ? argv[i] + 9 : i + 1 < argc ? argv[i + 1] : "";
        unsigned chosen = 0;

        if (strcmp(argv[i], "--help") == 0) {
            (void)puts(
                "usage: netscope-sensor fields [--format text|json|markdown]\n"
                "Prints every field of the records: type, unit, its names in IPFIX, ECS and "
                "OpenTelemetry, and\nwhether it may be a label: fine (a few values), careful "
                "(as many as the site has), avoid.");
            return EXIT_SUCCESS;
        }
        while (chosen < ARRAY_COUNT(formats) && strcmp(value, formats[chosen]) != 0) {
            chosen++;
        }
        if ((!has_equals && strcmp(argv[i], "--format") != 0) || chosen == ARRAY_COUNT(formats)) {
            const bool is_value = !has_equals && strcmp(argv[i], "--format") == 0;

            (void)fprintf(stderr,
                          "netscope-sensor fields: %s%s%s is none of --format text, --format json "
                          "and --format markdown\n",
                          argv[i], is_value ? " " : "", is_value ? value : "");
            return EXIT_WRONG;
        }
        format = (enum fields_format)chosen;
        i += has_equals ? 0 : 1;
    }
    if (fields_print(stdout, format, &err) != 0) {
        (void)fprintf(stderr, "netscope-sensor: %s\n", err.message);
        return EXIT_FAILED;
    }
    return EXIT_SUCCESS;
}
