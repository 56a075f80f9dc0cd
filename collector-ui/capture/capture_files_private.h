/* What the files of the kept captures share. Private to collector-ui/capture. */
#pragma once

#include <pthread.h>

#include "collector-ui/capture/capture_files.h"

#define CAPTURE_PATH_BYTES 4224

enum capture_job_kind {
    CAPTURE_JOB_WRITE,
    CAPTURE_JOB_END,    /* of the capture: its file is closed */
    CAPTURE_JOB_REMOVE, /* the last one: the entry goes, too */
};

/* A capture and its file. With the lock unless it says otherwise. */
struct capture_kept {
    struct capture_kept *next;
    struct capture_files *files;
    struct capture_info info;
    struct capture_waiter waiter; /* the rpc thread's; told NULL: nobody waits */
    bool is_done;                 /* the sensor's side is: nothing comes any more */
    bool is_deleted;              /* and not in the list */
    uint64_t taken_bytes;         /* the rpc thread's: from the sensor */
    int fd;                       /* the writer's, once it is in the list; -1: closed */
};

/* Of the writer, in order. */
struct capture_job {
    struct capture_job *next;
    struct capture_kept *kept;
    enum capture_job_kind kind;
    size_t length;
    uint8_t bytes[];
};

struct capture_files {
    const struct captures_settings *settings;
    struct captures *captures;
    char directory[4096];
    pthread_mutex_t lock;
    pthread_cond_t wake;       /* for the writer */
    struct capture_kept *list; /* the newest first */
    uint32_t kept;
    struct capture_job *first, **last;
    uint64_t aged, displaced, failed;
    bool is_stopping;
    pthread_t thread;
    bool has_thread;
};

/* The end is on the disk, or it was there at the start. */
static inline bool capture_kept_is_over(const struct capture_kept *kept)
{
    return kept->info.state == CAPTURE_ENDED || kept->info.state == CAPTURE_FAILED;
}

/* capture_files.c; with the lock. NULL: there is none. */
struct capture_kept *capture_files_entry(const struct capture_files *files, const char *id);

/* capture_writer.c */
void capture_files_path(const struct capture_files *files, const char *id, const char *kind,
                        char out[CAPTURE_PATH_BYTES]);
/* Why its file is not whole; the first reason stays. With the lock. */
void capture_kept_fail(struct capture_kept *kept, const char *why);
/* To the writer; copies the bytes. With the lock. */
void capture_files_push(struct capture_files *files, struct capture_kept *kept,
                        enum capture_job_kind kind, const uint8_t *bytes, size_t length);
