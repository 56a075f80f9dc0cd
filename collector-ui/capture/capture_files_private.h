/* What the files of the kept captures share. Private to collector-ui/capture. */
#pragma once

#include <pthread.h>

#include "collector-ui/capture/capture_files.h"
#include "collector-ui/capture/pcapng_merge.h"

#define CAPTURE_PATH_BYTES 4224

enum capture_job_kind {
    CAPTURE_JOB_WRITE,
    CAPTURE_JOB_PART,   /* a sensor's share is over */
    CAPTURE_JOB_END,    /* of the capture: its file is closed */
    CAPTURE_JOB_REMOVE, /* the last one: the entry goes, too */
    CAPTURE_JOB_READ,   /* of a stream, and of no capture */
};

/* What is written of one sensor. The rpc thread's unless it says otherwise. */
struct capture_part {
    struct capture_kept *kept;
    uint32_t number;                         /* also of its info */
    char command_id[CAPTURES_COMMAND_BYTES]; /* with the lock from when it is in the list */
    bool has_answered;
    bool is_done;                          /* nothing comes any more. With the lock */
    uint64_t bytes_max;                    /* that it was asked for */
    struct ingest_capture_summary summary; /* with the lock, once it is done */
    bool is_plain;   /* asked for once more, by the filter without VLAN tags */
    bool is_refused; /* the writer's: what it sent is no file, or more than it may be */
};

/* A capture and its file. With the lock unless it says otherwise. */
struct capture_kept {
    struct capture_kept *next;
    struct capture_files *files;
    struct capture_info info;
    struct capture_waiter waiter; /* the rpc thread's; told NULL: nobody waits */
    uint32_t unanswered;          /* likewise: sensors that have not said whether they capture */
    char *bpf_plain;              /* the rpc thread's, as the next ones; NULL: none */
    char peer[RPC_PEER_BYTES];
    const char *what;
    bool is_cancelled;
    uint32_t parts_left;            /* that are not done */
    bool is_deleted;                /* and not in the list */
    struct pcapng_merge *merge;     /* the writer's; NULL: one sensor alone */
    struct pcapng_output output;    /* likewise */
    bool is_broken;                 /* likewise: nothing can be written any more */
    int fd;                         /* likewise, once it is in the list; -1: closed */
    struct capture_stream *streams; /* that read it */
    struct capture_part parts[];    /* as many as info.parts_count */
};

/* Of the writer, in order. */
struct capture_job {
    struct capture_job *next;
    struct capture_kept *kept;
    struct capture_stream *stream; /* of CAPTURE_JOB_READ: a reference */
    enum capture_job_kind kind;
    uint32_t part; /* whose bytes */
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
    uint64_t readers; /* streams */
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
/* Nobody finds it any more; its files go when the writer comes to it, and then the entry. */
void capture_files_remove_entry(struct capture_files *files, struct capture_kept *kept);
/* Of captures that are over the oldest go, until there is room for one more. -ENOSPC with `err`. */
MUST_USE int capture_files_make_room(struct capture_files *files, uint64_t bytes,
                                     struct error *err);

/* capture_writer.c */
void capture_files_path(const struct capture_files *files, const char *id, const char *kind,
                        char out[CAPTURE_PATH_BYTES]);
/* Why its file is not whole, or a sensor's share of it; the first reason stays. With the lock. */
void capture_kept_fail(struct capture_kept *kept, const char *why);
void capture_part_fail(struct capture_part *part, const char *why);
/* To the writer; copies the bytes. With the lock. */
void capture_files_push(struct capture_files *files, struct capture_kept *kept,
                        enum capture_job_kind kind, uint32_t part, const uint8_t *bytes,
                        size_t length);
/* Likewise; takes a reference of the stream over. */
void capture_files_push_read(struct capture_files *files, struct capture_stream *stream);
/* Its memory. */
void capture_kept_free(struct capture_kept *kept);
/* Nothing comes from any of its sensors any more. With the lock. */
static inline bool capture_kept_is_done(const struct capture_kept *kept)
{
    return kept->parts_left == 0;
}

/* capture_work.c; the writer's thread */
void capture_files_work(struct capture_files *files, const struct capture_job *job);
void capture_files_remove(const struct capture_files *files, const char *id);

/* capture_stream.c; the writer's thread */
/* Takes a reference over. */
void capture_stream_read(struct capture_stream *stream);
void capture_stream_forget(struct capture_stream *stream);
/* There is more, or it is over; `is_gone`: the entry goes. With the lock. */
void capture_streams_wake(struct capture_kept *kept, bool is_gone);
