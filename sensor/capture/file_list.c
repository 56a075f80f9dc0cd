#include "sensor/capture/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sensor/capture/file_reader.h"

static int add(struct file_list *list, const char *path, struct error *err)
{
    if (list->count == FILE_LIST_MAX) {
        return error_set(err, E2BIG, "more than %u capture files", FILE_LIST_MAX);
    }
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        char **paths = realloc(list->paths, capacity * sizeof(*paths));

        if (paths == NULL) {
            return error_set(err, ENOMEM, "out of memory");
        }
        list->paths = paths;
        list->capacity = capacity;
    }
    list->paths[list->count] = strdup(path);
    if (list->paths[list->count] == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    list->count++;
    return 0;
}

/* By its first bytes, decompressed. What may not be read is taken, so that it is told. */
static bool is_capture(const char *path)
{
    struct byte_source source;
    struct stat status;

    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    if (byte_source_open(&source, path, NULL) != 0) {
        return true;
    }
    const bool is = byte_source_peek(&source, NULL) == 0 &&
                    (pcap_file_is(source.peeked, source.peeked_bytes) ||
                     pcapng_file_is(source.peeked, source.peeked_bytes));

    byte_source_close(&source);
    return is;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_directory(struct file_list *list, const char *path, struct error *err)
{
    DIR *directory = opendir(path);
    const uint32_t before = list->count;
    int status = 0;

    if (directory == NULL) {
        const int code = errno;
        return error_set(err, code, "%s: %s", path, strerror(code));
    }
    for (const struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        char *whole = NULL;

        if (entry->d_name[0] == '.') {
            continue;
        }
        if (asprintf(&whole, "%s/%s", path, entry->d_name) < 0) {
            status = error_set(err, ENOMEM, "out of memory");
            break;
        }
        if (is_capture(whole)) {
            status = add(list, whole, err);
        }
        free(whole);
    }
    (void)closedir(directory);
    if (status == 0 && list->count == before) {
        return error_set(err, ENOENT, "%s: no capture file in this directory", path);
    }
    qsort(list->paths + before, list->count - before, sizeof(list->paths[0]), by_name);
    return status;
}

static int add_matches(struct file_list *list, const char *pattern, struct error *err)
{
    glob_t found = {0};
    const int result = glob(pattern, 0, NULL, &found);
    int status = 0;

    if (result == GLOB_NOMATCH) {
        status = error_set(err, ENOENT, "%s: no file matches", pattern);
    } else if (result != 0) {
        status = error_set(err, result == GLOB_NOSPACE ? ENOMEM : EIO, "%s: cannot be searched",
                           pattern);
    }
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++) {
        status = add(list, found.gl_pathv[i], err);
    }
    globfree(&found);
    return status;
}

int file_list_expand(struct file_list *list, const char *const *paths, uint32_t count,
                     struct error *err)
{
    int status = 0;

    *list = (struct file_list){0};
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        struct stat info;

        if (paths[i][0] == '\0') {
            status = error_set(err, EINVAL, "capture.read_pcap: an empty path names no file");
            break;
        }
        const bool is_there = stat(paths[i], &info) == 0;

        if (is_there && S_ISDIR(info.st_mode)) {
            status = add_directory(list, paths[i], err);
        } else if (!is_there && errno == ENOENT && strpbrk(paths[i], "*?[") != NULL) {
            status = add_matches(list, paths[i], err);
        } else {
            status = add(list, paths[i], err);
        }
    }
    if (status != 0) {
        file_list_fini(list);
    }
    return status;
}

void file_list_fini(struct file_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    *list = (struct file_list){0};
}
