#include "base/service/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void reload_add(struct reload_paths *paths, const char *path)
{
    char **larger = realloc(paths->items, (paths->count + 1U) * sizeof(*larger));

    if (larger == NULL) {
        return;
    }
    paths->items = larger;
    larger[paths->count] = strdup(path);
    paths->count += larger[paths->count] != NULL;
}

void reload_paths_free(struct reload_paths *paths)
{
    for (uint32_t i = 0; i < paths->count; i++) {
        free(paths->items[i]);
    }
    free((void *)paths->items);
    *paths = (struct reload_paths){0};
}

void reload_result_free(struct reload_result *result)
{
    reload_paths_free(&result->applied);
    reload_paths_free(&result->needs_restart);
    reload_paths_free(&result->not_taken);
}

const char *reload_text(const struct reload_paths *paths, char *out, size_t out_bytes)
{
    static const char more[] = "...";
    size_t used = 0;

    (void)snprintf(out, out_bytes, "none");
    for (uint32_t i = 0; i < paths->count && used < out_bytes; i++) {
        const int length =
            snprintf(out + used, out_bytes - used, "%s%s", i > 0 ? "," : "", paths->items[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    if (used >= out_bytes && out_bytes > sizeof(more)) {
        memcpy(out + out_bytes - sizeof(more), more, sizeof(more));
    }
    return out;
}

const char *reload_file_name(const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');

    return path == NULL ? "" : slash != NULL ? slash + 1 : path;
}

void reload_log(const struct reload_result *result, const char *what, const char *config_hash)
{
    char applied[1024], waiting[1024];

    if (result->is_refused) {
        log_error("config", "the new settings are refused; those before stay in force", "reason=%s",
                  log_quote(result->issue.reason, applied, sizeof(applied)));
        return;
    }
    log_note("config", what, "applied=%s needs_restart=%s%s%s",
             reload_text(&result->applied, applied, sizeof(applied)),
             reload_text(&result->needs_restart, waiting, sizeof(waiting)),
             config_hash == NULL ? "" : " config_hash=", config_hash == NULL ? "" : config_hash);
    for (uint32_t i = 0; i < result->not_taken.count; i++) {
        log_note("config", "a changed setting is not taken: it needs a restart", "%s",
                 result->not_taken.items[i]);
    }
}

struct comparison {
    const struct config *in_force, *candidate;
    struct reload_result *result;
};

static void write_value(const struct config *config, const char *path, char *out,
                        uint32_t out_bytes)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    if (stream != NULL) {
        config_print_value(config, path, stream);
        (void)fclose(stream);
    }
    (void)log_quote(text == NULL ? "" : text, out, out_bytes);
    free(text);
}

static void note_change(void *context, const char *path, bool is_hot)
{
    const struct comparison *comparison = context;
    struct reload_result *result = comparison->result;
    char before[256], wanted[256], line[1024];

    if (is_hot) {
        reload_add(&result->applied, path);
        return;
    }
    reload_add(&result->needs_restart, path);
    write_value(comparison->in_force, path, before, sizeof(before));
    write_value(comparison->candidate, path, wanted, sizeof(wanted));
    (void)snprintf(line, sizeof(line), "key=%s in_force=%s wanted=%s", path, before, wanted);
    reload_add(&result->not_taken, line);
}

static void refuse(const struct config *config, const char *file, const struct error *err,
                   struct reload_result *result)
{
    result->is_refused = true;
    config_issue_of(config, file, err, &result->issue);
    reload_paths_free(&result->applied);
    reload_paths_free(&result->needs_restart);
    reload_paths_free(&result->not_taken);
}

int reload_adopt(struct config *into, const struct config *from, const struct reload_paths *paths,
                 struct error *err)
{
    for (uint32_t i = 0; i < paths->count; i++) {
        if (config_adopt(into, paths->items[i], from, err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

void reload_run(const struct reload_ops *ops, struct config *in_force, const char *yaml,
                size_t length, bool does_apply, struct reload_result *result)
{
    struct error err = {0};

    *result = (struct reload_result){0};
    struct config *candidate = ops->make(ops->context, &err);

    if (candidate == NULL) {
        refuse(in_force, ops->file, &err, result);
        return;
    }
    if (ops->load(ops->context, candidate, yaml, length, &err) != 0 ||
        ops->check(ops->context, candidate, &err) != 0) {
        refuse(candidate, ops->file, &err, result);
    } else {
        struct comparison comparison = {in_force, candidate, result};

        (void)config_compare(in_force, candidate, note_change, &comparison);
        if (does_apply && reload_adopt(in_force, candidate, &result->applied, &err) != 0) {
            error_prefix(&err, "a part of the new settings is in force; restart");
            refuse(candidate, ops->file, &err, result);
        } else if (does_apply) {
            ops->apply(ops->context, result);
        }
    }
    ops->discard(ops->context, candidate);
}
